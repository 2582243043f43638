"""What mapping one document comes to: records, remarks, and what the whole needs to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cauldron.domain.legacy.secrets import clean
from cauldron.domain.legacy.values import NO_OWNER, Doc, owner_of

SCHEMA_VERSION = 2
DAY_MS = 86_400_000
OUTPUTS, PIECES, CASTS, COOKS, STATUS = "generationOutputs", "pieces", "casts", "cooks", "cook_status"
COLLECTIONS, SPELLS, EXPORTS = "collections", "spells", "exports"
EVENTS, SET_ASIDE = "legacy_events", "legacy_set_aside"


class SetAside(Exception):
    """The document has no counterpart here; ``reason`` is a stable word, ``detail`` a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Later(Exception):
    """The document is still being worked on by the earlier system: the next run takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every mapper is told beside the document. Instants are milliseconds since 1970."""

    now_ms: int
    cutoff_ms: int  # deliveries owed by older documents are never made
    environment: str = "live"
    accounts: Mapping[str, str] = field(default_factory=dict)  # old account -> ours; "*" is all others
    tool_names: Mapping[str, str] = field(default_factory=dict)  # old tool id -> display name
    tool_ids: Mapping[str, str] = field(default_factory=dict)  # old tool id, deployment or workflow -> ours
    inputs: Mapping[str, str] = field(default_factory=dict)  # old name of a generator's input -> ours

    def owner(self, value: Any) -> str:
        """The account that an owner's id stands for here."""
        found = owner_of(value)
        if not self.accounts:
            return found
        return self.accounts.get(found) or self.accounts.get("*") or found


class Facts(NamedTuple):
    """What the whole needs to know of one execution, to link it and to count its cost once."""

    role: int  # PLAIN, STEP or FINAL
    cast_id: str | None
    cook_id: str | None
    job_id: str | None  # of the queue of 2025, whose row knows collection and place
    place: int | None  # 0-based, in the cook
    state: str  # of the piece, or "" when it is none
    status: str
    micro_usd: int | None
    at_ms: int
    duration_ms: int
    points: int
    owner: str
    spell_id: str | None
    collection_id: str | None


PLAIN, STEP, FINAL = 0, 1, 2


class Mapped(NamedTuple):
    """``records`` are (table, document) pairs; ``notes`` are words of the report's rules."""

    records: list[tuple[str, Doc]]
    notes: list[str]
    facts: Facts | None = None


def record_of(
    legacy_id: str, setting: Setting, *, owner: str, visibility: str = "private", **fields: Any
) -> Doc:
    """The fields that every imported record has, then its own. It is not folded from a stream."""
    return {
        "_id": legacy_id,
        "schemaVersion": SCHEMA_VERSION,
        "imported": True,
        "legacyId": legacy_id,
        "owner": owner,
        "visibility": visibility,
        "environment": setting.environment,
        "seq": 0,
        **fields,
    }


def note_owner(owner: str, notes: list[str]) -> None:
    """Remark on owners that were not object ids."""
    if len(owner) == 24:
        return
    if owner == NO_OWNER:
        notes.append("owner.missing")
    elif owner.startswith("telegram:"):
        notes.append("owner.telegram")
    elif owner.startswith("0x"):
        notes.append("owner.wallet")


def cleaned(value: Any, notes: list[str]) -> Any:
    """``value`` without secrets; remarks when there were any."""
    found = clean(value)
    if found is not value:
        notes.append("secret.removed")
    return found


def set_aside_record(source: str, doc_id: str, doc: Doc, *, reason: str, detail: str) -> Doc:
    """The document as it was, but for its secrets, with the reason it has no record."""
    return {
        "_id": f"{source}:{doc_id}",
        "schemaVersion": SCHEMA_VERSION,
        "imported": True,
        "legacyId": doc_id,
        "source": source,
        "reason": reason,
        "detail": detail,
        "document": clean(doc),
    }

"""The life of a spell's versions after they were published: retired, restored, compared; and their price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import InvalidMany, NotFound, Problem, StaleVersion
from cauldron.domain.ledger_pricing import MAX_MARKUP_BPS
from cauldron.domain.media import MediaRef
from cauldron.domain.snapshot import take_snapshot
from cauldron.domain.spell_diff import Change, diff_documents, tools_used
from cauldron.domain.spell_document import parse_spell
from cauldron.domain.spell_graph import check_spell
from cauldron.domain.times import iso
from cauldron.ports.storage import Doc, Patch
from cauldron.services.media_grants import media_in
from cauldron.services.owned import ID
from cauldron.services.spells import ATTEMPTS, SPELLS, VERSIONS, Spellbook
from cauldron.services.thumbnails import PICTURES

DRAFT = "draft"
MAX_REASON = 200  # characters
MAX_FLAT_MILLI = 10**9  # a million points
MOST_PREVIEWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SpellVersions:
    """Over the spells of one account."""

    book: Spellbook

    async def version(self, spell_id: str, number: int) -> Doc:
        """A published version. Raises NotFound."""
        [found] = await self.book.store.get(VERSIONS, [f"{spell_id}@{number}"])
        if found is None:
            raise NotFound(f"the spell has no version {number}", version=number)
        return found

    async def retire(
        self, slug: str, *, version: int | None = None, reason: str = "", now_ms: int
    ) -> tuple[Doc, Doc]:
        """Offer a version no more, by default the one on offer; what pinned it goes on.

        Returns:
            The spell's record and the version's; the same ones when it was retired before.

        Raises:
            NotFound: there is no such version, or none on offer. InvalidMany: the reason is too long.
        """
        if len(reason) > MAX_REASON:
            raise _wrong("reason", f"must be at most {MAX_REASON} characters")
        for _ in range(ATTEMPTS):
            record = await self.book.find(slug)
            number = version or record["publishedVersion"]
            if number is None:
                raise NotFound(f"the spell {slug!r:.80} offers no version: say which one", slug=slug)
            found = await self.version(record["_id"], number)
            if found.get("retiredAt") is not None:
                return record, found
            marks = {"retiredAt": iso(now_ms), "retiredBy": self.book.actor, "retiredReason": reason}
            changes: dict[str, Any] = {}
            if record["publishedVersion"] == number:
                changes = {"publishedVersion": None, "retired": {"version": number, "reason": reason}}
            if await self._marked(record, found, marks, changes, now_ms=now_ms):
                return await self.book.find(slug), found | marks
        raise StaleVersion(f"the spell {slug!r} is being changed by others; try again", slug=slug)

    async def restore(self, slug: str, *, version: int, now_ms: int) -> tuple[Doc, Doc]:
        """Take a retirement back; the version can be published again, and is offered if nothing else is.

        Raises:
            NotFound: there is no such version.
        """
        for _ in range(ATTEMPTS):
            record = await self.book.find(slug)
            found = await self.version(record["_id"], version)
            if found.get("retiredAt") is None:
                return record, found
            marks = {"retiredAt": None, "retiredBy": None, "retiredReason": None}
            gone = record.get("retired")
            changes: dict[str, Any] = {}
            if gone is not None and gone["version"] == version:
                changes = {"publishedVersion": version, "retired": None}
            if await self._marked(record, found, marks, changes, now_ms=now_ms):
                return await self.book.find(slug), found | marks
        raise StaleVersion(f"the spell {slug!r} is being changed by others; try again", slug=slug)

    async def _marked(
        self,
        record: Doc,
        version: Doc,
        marks: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        now_ms: int,
    ) -> bool:
        """Write the marks of a version and what they change of its spell, unless somebody came between."""
        after = record["revision"] + 1
        content = {**changes, "revision": after, "actor": self.book.actor, "updatedAt": iso(now_ms)}
        guard = {"revision": record["revision"], "deleted": False}
        try:
            await self.book.store.commit(
                [Patch(VERSIONS, version["_id"], marks), Patch(SPELLS, record["_id"], content, guard)]
            )
        except StaleVersion:
            return False
        return True

    async def diff(self, slug: str, *, before: int | None, after: int | None) -> list[Change]:
        """What differs between two versions; None is the draft. With the tools that they resolve to.

        Raises:
            NotFound: there is no such version.
        """
        record = await self.book.find(slug)
        return diff_documents(await self._document(record, before), await self._document(record, after))

    async def _document(self, record: Doc, number: int | None) -> dict[str, Any]:
        if number is not None:
            found = await self.version(record["_id"], number)
            return {**found["document"], "tools": tools_used(found["snapshot"])}
        try:
            checked = check_spell(parse_spell(record["draft"]), self.book.tools)
        except InvalidMany:  # it cannot be published yet: there are no exact tools to tell of
            return dict(record["draft"])
        return {**record["draft"], "tools": tools_used(take_snapshot(checked).to_dict())}

    async def set_margin(self, slug: str, *, markup_bps: int, flat_milli: int, now_ms: int) -> Doc:
        """What the creator asks for on top of what a run costs, from the next quote on.

        Args:
            markup_bps: parts of 10,000 of the cost. flat_milli: milli-points a run.

        Raises:
            InvalidMany: out of bounds. NotFound: there is no such spell.
        """
        if not 0 <= markup_bps <= MAX_MARKUP_BPS:
            raise _wrong("percent", f"must be between 0 and {MAX_MARKUP_BPS // 100:,}")
        if not 0 <= flat_milli <= MAX_FLAT_MILLI:
            raise _wrong("flatPts", f"must be between 0 and {MAX_FLAT_MILLI // 1000:,}")
        margin = {"markupBps": markup_bps, "flatMilli": flat_milli}
        return await self.book.change(slug, {"margin": margin}, now_ms=now_ms)

    async def choose_previews(self, slug: str, outputs: list[str], *, now_ms: int) -> Doc:
        """Show the spell with pictures of its own outputs, the first one largest.

        Raises:
            NotFound: one is no output of this spell, or has no picture. InvalidMany: there are too many.
        """
        if len(outputs) > MOST_PREVIEWS:
            raise _wrong("outputs", f"must be at most {MOST_PREVIEWS}")
        record = await self.book.find(slug)
        refs = [await self._picture(record, output_id) for output_id in outputs]
        return await self.book.show_images(slug, refs, now_ms=now_ms)

    async def _picture(self, record: Doc, output_id: str) -> MediaRef:
        [doc] = (
            await self.book.store.get("generationOutputs", [output_id]) if ID.fullmatch(output_id) else [None]
        )
        found: list[MediaRef] = []
        if doc is not None and _made_by(doc, record):
            found = [ref for _, ref in media_in(doc.get("outputs") or {}) if ref.get("mime") in PICTURES]
        if not found:
            raise NotFound(f"the spell has no output {output_id!r:.80} with a picture", id=output_id)
        return found[0]


def _made_by(output: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether its owner made an output with a spell."""
    same = all(output.get(name) == record[name] for name in ("owner", "environment"))
    return same and output.get("spellId") == record["_id"]


def margin_of(record: Mapping[str, Any]) -> dict[str, float]:
    """A spell's margin for people: ``{percent, flatPts}``."""
    margin = record.get("margin") or {}
    return {"percent": margin.get("markupBps", 0) / 100, "flatPts": margin.get("flatMilli", 0) / 1000}


def _wrong(path: str, message: str) -> InvalidMany:
    return InvalidMany([Problem(path=path, code="out_of_range", message=message)])

"""What visitors are offered: published spells that are not private, found by their slug alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import NotFound
from cauldron.domain.port_schema import schema_of
from cauldron.domain.snapshot import Snapshot, execution_plan
from cauldron.domain.spell import SLUG
from cauldron.ports.storage import Doc, Store
from cauldron.services.spells import SPELLS, VERSIONS

OPEN = ("public", "unlisted")
SAME_SLUG = 100  # spells of different accounts that are looked at for one slug
LISTED = 60  # spells of the start page
READ = 500


class SpellGone(NotFound):
    """Its maker retired what was offered here, and offers nothing in its place."""

    code = "spell_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A spell as visitors get it: its record and the version that is offered now."""

    record: Doc
    version: Doc
    snapshot: Snapshot

    @property
    def slug(self) -> str:
        """Its slug."""
        return str(self.record["slug"])

    @property
    def title(self) -> str:
        """Its name in the version that is offered; a draft may have another by now."""
        return self.snapshot.spell.name

    @property
    def description(self) -> str:
        """What it makes, in the version that is offered."""
        return self.snapshot.spell.description

    def inputs_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of what it takes."""
        return schema_of(self.snapshot.checked.inputs, title=f"Inputs of {self.title}")

    def steps(self) -> list[dict[str, Any]]:
        """Its steps, each after those it needs: ``[{id, label, needs}]``."""
        return [
            {"id": step.id, "label": step.label, "needs": list(step.needs)}
            for step in execution_plan(self.snapshot)
        ]

    def previews(self) -> list[Mapping[str, Any]]:
        """References to the pictures that its owner shows."""
        return list(self.record["previewImages"])


@dataclass(frozen=True, slots=True)
class Offering:
    """Finds offers. Of several with one slug the one of the studio's own account counts, else the oldest."""

    store: Store
    account: str
    environment: str

    async def find(self, slug: str) -> Offer:
        """The offer behind a slug.

        Raises:
            SpellGone: it was open to visitors, and what it offered is retired.
            NotFound: there is none, it is private, or it is not published; which of them is not told.
        """
        where = {"slug": slug, "environment": self.environment, "deleted": False}
        found = (
            await self.store.find(SPELLS, where, order=("slug",), limit=SAME_SLUG) if _is_slug(slug) else []
        )
        offered = [doc for doc in found if _is_open(doc)]
        if offered:
            return await self._offer(self._first(offered))
        retired = [doc for doc in found if doc["visibility"] in OPEN and doc.get("retired")]
        if retired:
            record = self._first(retired)
            raise SpellGone(f"{record['name']!r:.90} is retired: it is not cast any more", slug=slug)
        raise NotFound(f"there is no spell {slug!r:.80}")

    def _first(self, found: list[Doc]) -> Doc:
        return min(found, key=lambda doc: (doc["owner"] != self.account, doc["_id"]))

    async def _offer(self, record: Doc) -> Offer:
        [version] = await self.store.get(VERSIONS, [f"{record['_id']}@{record['publishedVersion']}"])
        if version is None:
            raise NotFound(f"there is no spell {record['slug']!r:.80}")
        return Offer(record=record, version=version, snapshot=Snapshot.from_dict(version["snapshot"]))

    async def listed(self) -> list[Doc]:
        """Records of public spells of the studio's own account, latest change first."""
        where = {"owner": self.account, "environment": self.environment, "deleted": False}
        found = await self.store.find(SPELLS, where, order=("-updatedAt",), limit=READ)
        return [doc for doc in found if _is_open(doc) and doc["visibility"] == "public"][:LISTED]


def _is_slug(text: str) -> bool:
    return SLUG.fullmatch(text) is not None


def _is_open(doc: Doc) -> bool:
    return doc["visibility"] in OPEN and doc["publishedVersion"] is not None

"""Spells of one owner: a draft that is edited, and published versions that never change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Duplicate, InvalidMany, NotFound, Problem, Refused, StaleVersion
from cauldron.domain.hashing import content_hash
from cauldron.domain.snapshot import Snapshot, take_snapshot
from cauldron.domain.spell import Spell
from cauldron.domain.spell_document import parse_spell, spell_document
from cauldron.domain.spell_graph import CheckedSpell, Tools, check_spell
from cauldron.domain.times import iso
from cauldron.ports.storage import Doc, Index, Insert, Op, Patch, Store, Table

SPELLS = "spells"
VERSIONS = "spell_versions"
TABLES: tuple[Table, ...] = (
    Table(
        name=SPELLS,
        indexes=(
            Index(fields=("owner", "environment", "slug"), unique=True, where={"deleted": False}),
            Index(fields=("owner", "environment", "-updatedAt"), where={"deleted": False}),
            Index(fields=("slug",), where={"deleted": False}),  # visitors know nothing else of it
            Index(fields=("legacyId",), where={"imported": True}),
        ),
    ),
    Table(
        name=VERSIONS,
        indexes=(
            Index(fields=("spellId", "version"), unique=True),
            Index(fields=("spellId", "contentHash"), unique=True),
        ),
    ),
)
ATTEMPTS = 8


class SpellRetired(Refused):
    """The version is not offered any more: nothing new is begun with it, and nothing was charged."""

    code = "spell_retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A draft after it was saved, and what keeps it from being published."""

    record: Doc
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published version; ``new`` is False when the same content was published before."""

    version: Doc
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellbook:
    """The spells of ``owner`` in one environment, over a store."""

    store: Store
    tools: Tools
    owner: str
    actor: str
    environment: str = "live"

    async def save(
        self,
        document: Any,
        *,
        new_id: str,
        now_ms: int,
        spell_id: str | None = None,
        revision: int | None = None,
    ) -> Saved:
        """Save a draft: of the spell ``spell_id``, else of the one with its slug, else of a new one.

        Args:
            document: a spell document; its form must hold, its graph need not yet.
            new_id: the id of the spell, should it be new.
            revision: the revision this edit was made from; 0 is a spell that is not there yet.

        Raises:
            InvalidMany: the document is malformed.
            NotFound: there is no spell ``spell_id``.
            StaleVersion: the draft is not at ``revision`` any more.
            Duplicate: another spell of the owner has the slug.
        """
        spell = parse_spell(document)
        for _ in range(ATTEMPTS):
            known = await (self.record(spell_id) if spell_id else self._by_slug(spell.slug))
            at = known["revision"] if known else 0
            if revision is not None and revision != at:
                raise _stale(spell.slug, revision=revision, at=at)
            op = self._draft_op(spell, known, new_id=new_id, now_ms=now_ms)
            try:
                await self.store.commit([op])
            except Duplicate as error:
                if await self._taken(spell.slug, known):
                    raise Duplicate(f"another spell has the slug {spell.slug!r}", slug=spell.slug) from error
                continue
            except StaleVersion:
                continue
            return Saved(
                record=await self.record(known["_id"] if known else new_id), problems=self._problems(spell)
            )
        raise _contended(spell.slug)

    def _draft_op(self, spell: Spell, known: Doc | None, *, new_id: str, now_ms: int) -> Op:
        content = {
            "slug": spell.slug,
            "name": spell.name,
            "description": spell.description,
            "visibility": spell.visibility,
            "draft": spell_document(spell),
            "actor": self.actor,
            "updatedAt": iso(now_ms),
        }
        if known is not None:
            content["revision"] = known["revision"] + 1
            return Patch(SPELLS, known["_id"], content, {"revision": known["revision"], "deleted": False})
        return Insert(
            SPELLS,
            content
            | {
                "_id": new_id,
                "schemaVersion": 2,
                "owner": self.owner,
                "environment": self.environment,
                "previewImages": [],
                "revision": 1,
                "lastVersion": 0,
                "publishedVersion": None,
                "deleted": False,
                "createdAt": iso(now_ms),
            },
        )

    async def _taken(self, slug: str, known: Doc | None) -> bool:
        """Whether the slug belongs to another spell than the one that is being edited."""
        holder = await self._by_slug(slug)
        return known is not None and holder is not None and holder["_id"] != known["_id"]

    def _problems(self, spell: Spell) -> tuple[Problem, ...]:
        try:
            check_spell(spell, self.tools)
        except InvalidMany as error:
            return error.problems
        return ()

    async def publish(self, slug: str, *, now_ms: int, revision: int | None = None) -> Published:
        """Make the draft an immutable version, or answer with the version that has its content.

        Two drafts have the same content when they differ in nothing but slug and
        visibility and their tools resolve to the same versions.

        Raises:
            NotFound: there is no such spell.
            InvalidMany: the graph does not hold.
            StaleVersion: the draft is not at ``revision``.
            SpellRetired: a version with just this content was retired.
        """
        for _ in range(ATTEMPTS):
            record = await self.find(slug)
            if revision is not None and revision != record["revision"]:
                raise _stale(slug, revision=revision, at=record["revision"])
            checked = check_spell(parse_spell(record["draft"]), self.tools, source=slug)
            known = await self._with_content(record["_id"], version_hash(checked))
            check_not_retired(slug, known)
            if known is not None and record["publishedVersion"] == known["version"]:
                return Published(version=known, new=False)
            version = known or self._version(record, checked, now_ms=now_ms)
            try:
                await self.store.commit(_publishing(record, version, new=known is None, now_ms=now_ms))
            except (Duplicate, StaleVersion):
                continue
            return Published(version=version, new=known is None)
        raise _contended(slug)

    async def _with_content(self, spell_id: str, digest: str) -> Doc | None:
        found = await self.store.find(VERSIONS, {"spellId": spell_id, "contentHash": digest}, limit=1)
        return found[0] if found else None

    def _version(self, record: Doc, checked: CheckedSpell, *, now_ms: int) -> Doc:
        number = record["lastVersion"] + 1
        snapshot = take_snapshot(checked, spell_id=record["_id"], spell_version=number)
        return {
            "_id": f"{record['_id']}@{number}",
            "schemaVersion": 2,
            "spellId": record["_id"],
            "version": number,
            "slug": record["slug"],
            "name": record["name"],
            "owner": self.owner,
            "actor": self.actor,
            "environment": self.environment,
            "visibility": record["visibility"],
            "contentHash": version_hash(checked),
            "configHash": snapshot.config_hash,
            "document": record["draft"],
            "snapshot": snapshot.to_dict(),
            "createdAt": iso(now_ms),
        }

    async def unpublish(self, slug: str, *, now_ms: int, revision: int | None = None) -> Doc:
        """Stop offering the spell for new casts; its versions stay.

        Raises:
            NotFound: there is no such spell. StaleVersion: it is not at ``revision``.
        """
        changes = {"publishedVersion": None, "retired": None}
        return await self.change(slug, changes, now_ms=now_ms, revision=revision)

    async def delete(self, slug: str, *, now_ms: int, revision: int | None = None) -> None:
        """Take the spell away and free its slug; its versions stay for what pinned them.

        Raises:
            NotFound: there is no such spell. StaleVersion: it is not at ``revision``.
        """
        changes = {"deleted": True, "publishedVersion": None}
        await self.change(slug, changes, now_ms=now_ms, revision=revision)

    async def show_images(self, slug: str, images: Sequence[Mapping[str, Any]], *, now_ms: int) -> Doc:
        """Set the preview images, a list of media references. Raises NotFound."""
        return await self.change(slug, {"previewImages": [dict(image) for image in images]}, now_ms=now_ms)

    async def change(
        self, slug: str, changes: Mapping[str, Any], *, now_ms: int, revision: int | None = None
    ) -> Doc:
        """Set fields of a spell's record beside its draft. Raises NotFound, StaleVersion."""
        for _ in range(ATTEMPTS):
            record = await self.find(slug)
            if revision is not None and revision != record["revision"]:
                raise _stale(slug, revision=revision, at=record["revision"])
            after = record["revision"] + 1
            content = {**changes, "revision": after, "actor": self.actor, "updatedAt": iso(now_ms)}
            try:
                await self.store.commit(
                    [Patch(SPELLS, record["_id"], content, {"revision": record["revision"]})]
                )
            except StaleVersion:
                continue
            return record | content
        raise _contended(slug)

    async def find(self, slug: str) -> Doc:
        """The record of the owner's spell with this slug. Raises NotFound."""
        record = await self._by_slug(slug)
        if record is None:
            raise NotFound(f"there is no spell {slug!r:.80}", slug=slug)
        return record

    async def _by_slug(self, slug: str) -> Doc | None:
        where = {"owner": self.owner, "environment": self.environment, "slug": slug, "deleted": False}
        found = await self.store.find(SPELLS, where, limit=1)
        return found[0] if found else None

    async def record(self, spell_id: str) -> Doc:
        """The record of a spell by id, unless it is deleted or somebody else's. Raises NotFound."""
        record = (await self.store.get(SPELLS, [spell_id]))[0]
        if record is None or record["deleted"] or not self._mine(record):
            raise NotFound(f"there is no spell {spell_id!r:.80}", id=spell_id)
        return record

    def _mine(self, doc: Doc) -> bool:
        return bool(doc["owner"] == self.owner and doc["environment"] == self.environment)

    async def all(self, *, limit: int = 100, after: Sequence[Any] | None = None) -> list[Doc]:
        """The owner's spells, latest change first; ``after`` is ``[updatedAt, _id]`` of the last seen."""
        where = {"owner": self.owner, "environment": self.environment, "deleted": False}
        return await self.store.find(SPELLS, where, order=("-updatedAt",), limit=limit, after=after)

    async def versions(self, slug: str) -> list[Doc]:
        """The published versions of a spell, latest first. Raises NotFound."""
        record = await self.find(slug)
        where = {"spellId": record["_id"]}
        return (await self.store.find(VERSIONS, where, order=("version",), limit=10_000))[::-1]

    async def snapshot(
        self, slug: str, *, version: int | None = None, overrides: Mapping[str, Any] | None = None
    ) -> Snapshot:
        """The execution snapshot of a version of a spell, by default the published one.

        Raises:
            NotFound: no such spell or version, or it is not published. SpellRetired.
            InvalidMany: an override does not fit.
        """
        record = await self.find(slug)
        number = record["publishedVersion"] if version is None else version
        if number is None:
            raise NotFound(f"the spell {slug!r} is not published", slug=slug)
        check_not_retired(slug, (await self.store.get(VERSIONS, [f"{record['_id']}@{number}"]))[0])
        return await self.pinned(record["_id"], version=number, overrides=overrides)

    async def pinned(
        self, spell_id: str, *, version: int, overrides: Mapping[str, Any] | None = None
    ) -> Snapshot:
        """The execution snapshot of a version that a cast or cook pinned; it outlives its spell.

        Raises:
            NotFound: there is no such version, or it is somebody else's.
            InvalidMany: an override does not fit.
        """
        found = (await self.store.get(VERSIONS, [f"{spell_id}@{version}"]))[0]
        if found is None or not self._mine(found):
            raise NotFound(f"the spell has no version {version}", id=spell_id, version=version)
        snapshot = Snapshot.from_dict(found["snapshot"])
        if not overrides:
            return snapshot
        return take_snapshot(snapshot.checked, spell_id=spell_id, spell_version=version, overrides=overrides)


def version_hash(checked: CheckedSpell) -> str:
    """The content hash of what a version fixes: the document without slug and visibility, exact tools."""
    document = {
        key: value
        for key, value in spell_document(checked.spell).items()
        if key not in ("slug", "visibility")
    }
    tools = {step: f"{tool.id}@{tool.version}" for step, tool in checked.tools.items()}
    return content_hash({"document": document, "tools": tools})


def check_not_retired(slug: str, version: Doc | None) -> None:
    """Whether something new may be begun with a version, if there is one. Raises SpellRetired."""
    if version is not None and version.get("retiredAt") is not None:
        number = version["version"]
        raise SpellRetired(
            f"version {number} of {slug!r} is retired: restore it, or take another", slug=slug, version=number
        )


def _publishing(record: Doc, version: Doc, *, new: bool, now_ms: int) -> list[Op]:
    """Insert the version when it is new, and point the spell at it, if nothing came between."""
    number = version["version"]
    changes: dict[str, Any] = {"publishedVersion": number, "retired": None, "updatedAt": iso(now_ms)}
    guard = {"revision": record["revision"], "lastVersion": record["lastVersion"], "deleted": False}
    if not new:
        return [Patch(SPELLS, record["_id"], changes, guard)]
    return [
        Insert(VERSIONS, version),
        Patch(SPELLS, record["_id"], changes | {"lastVersion": number}, guard),
    ]


def _stale(slug: str, *, revision: int, at: int) -> StaleVersion:
    message = f"the draft of {slug!r} is at revision {at}, not {revision}; load it again"
    return StaleVersion(message, slug=slug, revision=at)


def _contended(slug: str) -> StaleVersion:
    return StaleVersion(f"the spell {slug!r} is being changed by others; try again", slug=slug)

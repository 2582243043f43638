"""Whether what records name is there: their parents, their children, their blobs."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cauldron.domain.audit import Tally
from cauldron.domain.codec import commit_id
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Doc, Store

LINKS: Mapping[str, Sequence[tuple[str, str]]] = {  # table -> (field, table it leads to)
    "generationOutputs": (
        ("castId", "casts"),
        ("cookId", "cooks"),
        ("collectionId", "collections"),
        ("pieceId", "pieces"),
    ),
    "pieces": (("cookId", "cooks"), ("collectionId", "collections"), ("outputId", "generationOutputs")),
    "casts": (("cookId", "cooks"), ("pieceId", "pieces"), ("generationIds", "generationOutputs")),
    "cooks": (("collectionId", "collections"), ("generationIds", "generationOutputs")),
    "cook_status": (("cookId", "cooks"), ("collectionId", "collections")),
    "exports": (("cookId", "cooks"), ("collectionId", "collections")),
    "spell_versions": (("spellId", "spells"),),
}
BACK: Mapping[tuple[str, str], str] = {  # a child that is listed must name its parent
    ("pieces", "outputId"): "pieceId",
    ("casts", "generationIds"): "castId",
    ("cooks", "generationIds"): "cookId",
}
MOST_KNOWN = 20_000  # ids remembered per table, so that memory stays flat
LOOKERS = 32  # blobs looked for at once, where that takes time
MEDIA = re.compile(rb'"sha256:([0-9a-f]{64})"')
BLOB_FIELDS: Mapping[str, str] = {"plans": "blob", "cooks": "configHash", "casts": "configHash"}


@dataclass(slots=True)
class Links:
    """Follows the links of whole pages; ids of parents seen before are not asked for again."""

    store: Store
    _known: dict[str, set[str]] = field(default_factory=dict)

    async def check(self, table: str, page: Sequence[Doc], tally: Tally) -> None:
        """Note every link of the page that leads nowhere, and every one that should be there."""
        for doc in page:
            for reason in missing_links(table, doc):
                tally.note(table, doc.get("_id"), reason)
        for name, parent in LINKS.get(table, ()):
            back = BACK.get((table, name))
            wanted = [(doc, link) for doc in page for link in _ids(doc.get(name))]
            tally.checked += len(wanted)
            known = self._known.setdefault(parent, set())
            unknown = sorted({link for _, link in wanted if back or link not in known})
            found = dict(zip(unknown, await self.store.get(parent, unknown), strict=True)) if unknown else {}
            for doc, link in wanted:
                there = found.get(link)
                if there is None and (back or link not in known):
                    tally.note(table, doc["_id"], f"{name} {link} leads nowhere", kind=f"{table}.{name}")
                elif back and there is not None and there.get(back) != doc["_id"]:
                    reason = f"{name} {link} names another {back}"
                    tally.note(table, doc["_id"], reason, kind=f"{table}.{name} names another {back}")
            if not back:
                self._remember(known, (link for link, there in found.items() if there is not None))

    def _remember(self, known: set[str], ids: Iterable[str]) -> None:
        if len(known) > MOST_KNOWN:
            known.clear()
        known.update(ids)


def missing_links(table: str, doc: Doc) -> Iterator[str]:
    """Links that a record must have and has not."""
    if table == "pieces" and doc.get("state") != "failed" and doc.get("outputId") is None:
        yield "a piece that was made names no output"
    if table == "generationOutputs" and doc.get("pieceId") is not None and doc.get("cookId") is None:
        yield "an output of a piece names no cook"


def _ids(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []


async def without_stream(store: Store, table: str, page: Sequence[Doc], *, events: str) -> list[str]:
    """Ids of records that should be folded from a stream which is not there."""
    kind = "cook" if table == "cooks" else "cast"
    folded = [d for d in page if not d.get("imported") and (table == "cooks" or d.get("cookId") is None)]
    firsts = [commit_id(f"{kind}:{doc['_id']}", 1) for doc in folded]
    found = await store.get(events, firsts) if firsts else []
    return [doc["_id"] for doc, first in zip(folded, found, strict=True) if first is None]


async def missing_blobs(blobs: BlobStore, table: str, page: Sequence[Doc], tally: Tally) -> None:
    """Note every record of the page that names a blob which is not stored."""
    named = _named(table, page)
    digests = sorted(named)
    tally.checked += len(digests)
    parts = [digests[start::LOOKERS] for start in range(min(LOOKERS, len(digests)))]
    absent = await asyncio.gather(*(_absent(blobs, part) for part in parts))
    for digest in (digest for part in absent for digest in part):
        for doc in (doc for doc in page if digest in _digests(table, doc)):
            tally.note(table, doc.get("_id"), f"blob {digest} is not stored", kind=table)


def _named(table: str, page: Sequence[Doc]) -> set[str]:
    found = {digest.decode() for digest in MEDIA.findall(orjson.dumps(page))}
    name = BLOB_FIELDS.get(table)
    return found | {doc[name] for doc in page if _is_digest(doc.get(name))} if name else found


def _digests(table: str, doc: Doc) -> set[str]:
    return _named(table, [doc])


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


async def _absent(blobs: BlobStore, digests: Sequence[str]) -> list[str]:
    return [digest for digest in digests if await blobs.size(digest) is None]

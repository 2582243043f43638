"""Whether the read models say what the event streams say."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from cauldron.domain import cast as casts
from cauldron.domain import codec
from cauldron.domain.audit import Tally
from cauldron.domain.cast import Cast, CastState
from cauldron.domain.errors import CauldronError
from cauldron.domain.events import Event
from cauldron.domain.generation import DELIVERED
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS
from cauldron.ports.storage import Doc, Insert, Patch, Put, Store
from cauldron.services.casting import cast_document, cast_outputs
from cauldron.services.rebuilding import Findings, Rebuilding

PAGE = 500
LAST = "9999999999"  # past the number of any commit
YOUNG_MS = 60_000  # what was committed so recently may not be projected yet


async def stream_firsts(store: Store, table: str, *, prefix: str = "") -> AsyncIterator[Commit]:
    """The first commit of every stream of a table whose name begins with ``prefix``, by name."""
    after = prefix
    while True:
        found = await store.find(table, {}, after=[after] if after else None, limit=1)
        if not found or not found[0]["stream"].startswith(prefix):
            return
        yield found[0]
        after = f"{found[0]['stream']}:{LAST}"


async def differing_cooks(
    store: Store, rebuilding: Rebuilding, tally: Tally
) -> AsyncIterator[tuple[str, Findings]]:
    """Every cook with a stream, checked: its id and what was found."""
    async for first in stream_firsts(store, COOK_EVENTS, prefix="cook:"):
        cook_id, findings = first["stream"].removeprefix("cook:"), Findings()
        try:
            await rebuilding.check(cook_id, findings)
        except CauldronError as failure:
            findings.note("cooks", cook_id, f"its stream cannot be folded: {failure.message}")
        tally.checked += max(findings.documents, 1)
        for example in findings.examples:
            tally.note(example["table"], example["id"], example["reason"], kind=_kind(example))
        tally.found += findings.differing - len(findings.examples)
        yield cook_id, findings


def _kind(example: dict[str, str]) -> str:
    reason = example["reason"]
    return f"{example['table']}: {'cannot be folded' if 'cannot be folded' in reason else reason[:80]}"


@dataclass(slots=True)
class CastCheck:
    """Compares every stand-alone cast with its stream, a page of commits at a time.

    What was committed a moment ago may not be projected yet: it is left alone, or
    caught up with first where ``project`` is given.
    """

    store: Store
    now: int
    project: Callable[[str], Awaitable[None]] | None = None
    casts: int = 0  # compared so far

    async def run(self, tally: Tally) -> AsyncIterator[list[tuple[str, Doc]]]:
        """Pages of (table, document) that are not as the streams have them."""
        async for streams in self._streams():
            wanted = [pair for stream in streams for pair in await self._documents(stream, tally)]
            differing = await self._compare(wanted, tally)
            if differing:
                yield differing

    async def _streams(self) -> AsyncIterator[list[list[Commit]]]:
        """Whole streams: commits stand by stream and number."""
        after, open_stream = None, list[Commit]()
        while True:
            page = await self.store.find(CAST_EVENTS, {}, limit=PAGE, after=after)
            streams: list[list[Commit]] = []
            for commit in page:
                if open_stream and open_stream[0]["stream"] != commit["stream"]:
                    streams.append(open_stream)
                    open_stream = []
                open_stream.append(codec.upcast(codec.unpack(commit)))
            if len(page) < PAGE:
                yield [*streams, open_stream] if open_stream else streams
                return
            yield streams
            after = [page[-1]["_id"]]

    async def put(self, table: str, doc: Doc) -> None:
        """Write a document as its stream has it; what delivery wrote of an output stays."""
        if table != "generationOutputs":
            await self.store.commit([Put(table, doc, None)], atomic=False)
            return
        kept = {key: value for key, value in doc.items() if key not in DELIVERED and key != "_id"}
        await self.store.commit([Insert(table, doc), Patch(table, doc["_id"], kept)], atomic=False)

    async def _documents(self, stream: Sequence[Commit], tally: Tally) -> list[tuple[str, Doc]]:
        cast, last = Cast(), stream[-1]
        for commit in stream:
            for event in commit["events"]:
                casts.evolve(cast, Event(event["type"], event["data"]), ts=commit["ts"])
        if cast.state is CastState.NONE:
            tally.checked += 1
            tally.note(CAST_EVENTS, last["_id"], "a stream without a start")
            return []
        cast_id = cast.started["castId"]
        if self.now - last["ts"] < YOUNG_MS and await self._behind(cast_id, last["seq"]):
            if self.project is None:
                return []
            await self.project(cast_id)
        self.casts += 1
        outputs = [("generationOutputs", doc) for doc in cast_outputs(cast, seq=last["seq"])]
        return [("casts", cast_document(cast, seq=last["seq"])), *outputs]

    async def _behind(self, cast_id: str, seq: int) -> bool:
        """Whether the record, which is written last, has not seen the newest commit."""
        [there] = await self.store.get("casts", [cast_id])
        return there is None or there["seq"] < seq

    async def _compare(self, wanted: Sequence[tuple[str, Doc]], tally: Tally) -> list[tuple[str, Doc]]:
        tally.checked += len(wanted)
        differing: list[tuple[str, Doc]] = []
        for table in ("casts", "generationOutputs"):
            docs = [doc for name, doc in wanted if name == table]
            for start in range(0, len(docs), PAGE):
                part = docs[start : start + PAGE]
                stored = await self.store.get(table, [doc["_id"] for doc in part])
                for doc, there in zip(part, stored, strict=True):
                    reason = _difference(doc, there)
                    if reason:
                        tally.note(table, doc["_id"], reason, kind=f"{table}: {reason}")
                        differing.append((table, doc))
        return differing


def _difference(wanted: Doc, there: Doc | None) -> str:
    if there is None:
        return "missing"
    if there["seq"] > wanted["seq"]:  # it has gone on since
        return ""
    different = sorted(k for k in wanted if k not in DELIVERED and there.get(k) != wanted[k])
    return f"differs in {', '.join(different)}" if different else ""

"""Analytics of cooks: a fold of the log that goes on where it was, answered once per state of the cook."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.analytics import ByValue, Tally, count_piece, count_values, trait_documents
from cauldron.domain.cook_state import PIECE_STATES, Cook, State
from cauldron.ports.storage import Store
from cauldron.services.dispatch import Dispatcher
from cauldron.services.piece_listing import Made
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import Recipes

KEPT = 64  # cooks
PAGE = 500
Answer = tuple[int, dict[str, Any]]  # as of this seq


@dataclass(slots=True)
class Analysing:
    """Works out what a cook came to."""

    store: Store
    cooks: Dispatcher[Cook]
    recipes: Recipes
    _tallies: OrderedDict[str, Tally] = field(default_factory=OrderedDict)
    _answers: OrderedDict[str, Answer] = field(default_factory=OrderedDict)
    _thinking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, cook_id: str) -> dict[str, Any]:
        """``{seq, states, duration, cost, failures, traits}`` as of now.

        Cost: a fold of what was appended since it was asked last, and one pass over the
        plan's columns; nothing when nothing was appended.
        """
        folded = await self.cooks.load(stream_of(cook_id))
        if folded.state.state is State.IDLE:
            return await self._imported(cook_id)
        known = self._answers.get(cook_id)
        if known is not None and known[0] == folded.seq:
            return known[1]
        seq, made, counts = folded.seq, Made.of(folded.state), list(folded.state.counts)
        async with self._thinking:  # one after the other: two that ask at once need one fold
            known = self._answers.get(cook_id)
            if known is not None and known[0] >= seq:
                return known[1]
            tally = await self._tally(cook_id, seq)
            found: ByValue = {}
            for index, (start, blob) in enumerate(made.plans):
                end = made.plans[index + 1][0] if index + 1 < len(made.plans) else len(made.states) + 1
                plan = await self.recipes.plan(blob)
                slots, states = made.slots[start - 1 : end - 1], made.states[start - 1 : end - 1]
                await asyncio.to_thread(count_values, found, plan, slots, states)
            by_state = dict(zip(PIECE_STATES, counts, strict=True))
            answer = _document(tally, found, states=by_state)
            _keep(self._answers, cook_id, (seq, answer))
            return answer

    async def _tally(self, cook_id: str, seq: int) -> Tally:
        tally = self._tallies.pop(cook_id, None) or Tally()
        if tally.seq > seq:
            return tally
        async for page in self.cooks.streams.read(stream_of(cook_id), after=tally.seq, whole=False):
            tally.fold([commit for commit in page if commit["seq"] <= seq])
            if page[-1]["seq"] >= seq:
                break
        _keep(self._tallies, cook_id, tally)
        return tally

    async def _imported(self, cook_id: str) -> dict[str, Any]:
        """Of a cook without a log: from the records of its pieces, a page at a time."""
        tally, found, states = Tally(), ByValue(), dict.fromkeys(PIECE_STATES, 0)
        after: tuple[Any, ...] | None = None
        while True:
            where = {"cookId": cook_id}
            page = await self.store.find("pieces", where, order=("number",), limit=PAGE, after=after)
            for doc in page:
                states[doc["state"]] = states.get(doc["state"], 0) + 1
                count_piece(found, doc.get("traits") or {}, doc["state"])
                if doc["state"] == "failed":
                    tally.failed(str((doc.get("error") or {}).get("code", "error")))
                else:
                    cost = round((doc.get("costUsd") or 0) * 1_000_000)
                    tally.ended(doc.get("durationMs") or 0, cost)
            if len(page) < PAGE:
                return _document(tally, found, states=states)
            after = (page[-1]["number"], page[-1]["_id"])


def _document(tally: Tally, found: ByValue, *, states: dict[str, int]) -> dict[str, Any]:
    approved = states["approved"] + states["kept"]
    decided = approved + states["rejected"] + states["culled"]
    return {
        "seq": tally.seq,
        "states": states,
        "approvalRate": round(approved / decided, 4) if decided else None,
        "durationMs": tally.durations_ms.document(digits=1),
        "costUsd": tally.costs_micro_usd.document(scale=1_000_000, digits=9),
        "failures": [
            {"code": code, "count": count}
            for code, count in sorted(tally.failures.items(), key=lambda item: (-item[1], item[0]))
        ],
        "traits": trait_documents(found),
    }


def _keep(kept: OrderedDict[str, Any], key: str, value: object) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)

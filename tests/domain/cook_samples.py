"""Commands and histories of cooks, short to write down."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cauldron.domain import cook as cooks
from cauldron.domain.commands import (
    CookCommand,
    FailCook,
    PauseCook,
    RecordExport,
    RecordPiece,
    RefillSlots,
    ResumeCook,
    ReviewPieces,
    StartCook,
    StopCook,
)
from cauldron.domain.cook_state import Cook, evolve
from cauldron.domain.events import Event, StepRecord

START = StartCook(
    key="start:c1",
    cook_id="c1",
    collection_id="k1",
    collection_version="v1",
    owner="ann",
    amount=3,
    slot_from=0,
    plan_hash="h0",
    plan="blob0",
    config_hash="conf",
    generator={"kind": "tool", "id": "test.noop"},
    seed="s",
    failure_budget=1,
)
PAUSE, RESUME, STOP = PauseCook(key="p"), ResumeCook(key="r"), StopCook(key="s")
BREAK = FailCook(key="f", reason="snapshot_missing")
EXPORT = RecordExport(key="x", export_id="e1", pieces=1, base_uri="ipfs://b", provenance="00")
STARTED = 1_767_225_600_000  # an instant, in ms


def start(amount: int, **changes: Any) -> StartCook:
    return replace(START, amount=amount, **changes)


def step(attempt: int = 1, *, status: str = "success", cost_micro_usd: int = 7) -> StepRecord:
    """One tool execution of 40 ms."""
    record: StepRecord = {
        "step": "tool",
        "toolId": "test.noop",
        "toolVersion": "1.0.0",
        "toolDisplayName": "No-op",
        "status": status,
        "startMs": STARTED,
        "endMs": STARTED + 40,
        "inputs": {"text": "x"},
        "outputs": {"image": {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1}},
        "costMicroUsd": cost_micro_usd,
        "costSource": "tariff",
        "attempt": attempt,
    }
    return record


def made(piece: int, *, attempt: int = 1, key: str | None = None) -> RecordPiece:
    return RecordPiece(
        key=key or f"gen:c1.{piece}",
        piece=piece,
        attempt=attempt,
        steps=[step(attempt)],
        output={"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1},
        duration_ms=40,
        cost_micro_usd=7,
    )


def failed(piece: int, *, code: str = "tool_error", attempt: int = 3) -> RecordPiece:
    return RecordPiece(
        key=f"gen:c1.{piece}",
        piece=piece,
        attempt=attempt,
        steps=[step(attempt, status="failed")],
        error={"code": code, "message": "it broke"},
        duration_ms=40,
        cost_micro_usd=7,
    )


def review(decision: str, *pieces: int, key: str = "v") -> ReviewPieces:
    return ReviewPieces(key=key, decision=decision, pieces=pieces)


def review_all(decision: str) -> ReviewPieces:
    return ReviewPieces(key="va", decision=decision, pieces=None)


def refill(*pieces: int, plan_hash: str = "h1", base: str = "") -> RefillSlots:
    return RefillSlots(key="rf", pieces=pieces, plan=f"blob-{plan_hash}", plan_hash=plan_hash, base=base)


def after(commands: Iterable[CookCommand], *, cook: Cook | None = None) -> Cook:
    """The cook once these commands were carried out, one second apart."""
    cook = cook or Cook()
    for index, command in enumerate(commands):
        apply(cook, cooks.decide(cook, command), ts=STARTED + 1000 * index)
    return cook


def apply(cook: Cook, events: Sequence[Event], *, ts: int) -> None:
    for event in events:
        evolve(cook, event, ts=ts)


def snapshot(cook: Cook) -> dict[str, Any]:
    """Everything a cook's state holds, to compare by."""
    return {name: getattr(cook, name) for name in Cook.__slots__}

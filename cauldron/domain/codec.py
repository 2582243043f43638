"""Commit documents: one durable insert per state change, and old events read as new ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from cauldron.domain.events import Event, flatten, rows_in

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

# (type, version) -> the data of the next version. Pure; stored bytes are never rewritten.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
DETAIL = ("steps", "output", "outputs")  # data that folding never looks at
MAX_COMMANDS = 500  # per commit
MAX_BYTES = 1_000_000  # of one commit's JSON, about


def commit_id(stream: str, seq: int) -> str:
    """``<stream>:<seq>`` with ten digits, so that ids of a stream sort by ``seq``."""
    return f"{stream}:{seq:010d}"


def commit_document(
    stream: str, seq: int, *, keys: Sequence[str], events: Sequence[tuple[int, Event]], actor: str, ts: int
) -> dict[str, Any]:
    """The document of one commit.

    ``keys`` are the natural keys of its commands; ``events`` are pairs of the
    index of the command that caused it and the event; ``ts`` is milliseconds.
    """
    return {
        "_id": commit_id(stream, seq),
        "stream": stream,
        "seq": seq,
        "cmds": list(keys),
        "actor": actor,
        "ts": ts,
        "events": [{"type": e.type, "v": 1, "data": e.data, "c": c} for c, e in events],
    }


def pack(commit: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form of a commit: what folding never looks at becomes one JSON text, ``detail``.

    Reading a long text costs a fraction of reading the objects in it, so that the
    state of a cook of 100,000 pieces is folded soon after start-up.
    """
    detail = [{key: e["data"][key] for key in DETAIL if key in e["data"]} for e in commit["events"]]
    if not any(detail):
        return dict(commit)
    events = [
        e | {"data": {k: v for k, v in e["data"].items() if k not in DETAIL}} if heavy else e
        for e, heavy in zip(commit["events"], detail, strict=True)
    ]
    return {**commit, "events": events, "detail": orjson.dumps(detail).decode()}


def unpack(commit: dict[str, Any]) -> dict[str, Any]:
    """The whole commit again; one that is whole is handed on."""
    if "detail" not in commit:
        return commit
    detail = orjson.loads(commit["detail"])
    events = [
        e | {"data": e["data"] | heavy} if heavy else e
        for e, heavy in zip(commit["events"], detail, strict=True)
    ]
    return {key: value for key, value in commit.items() if key != "detail"} | {"events": events}


def unpack_in_place(commit: dict[str, Any]) -> dict[str, Any]:
    """:func:`unpack` at half the cost, for a commit that nobody else holds."""
    detail = commit.pop("detail", None)
    if detail is not None:
        for event, heavy in zip(commit["events"], orjson.loads(detail), strict=True):
            event["data"].update(heavy)
    return commit


def upcast(
    commit: dict[str, Any], upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> dict[str, Any]:
    """``commit`` with every event raised to its newest version."""
    if not upcasters:
        return commit
    return commit | {"events": [_raise(event, upcasters) for event in commit["events"]]}


def _raise(event: dict[str, Any], upcasters: Mapping[tuple[str, int], Upcaster]) -> dict[str, Any]:
    version, data = event["v"], event["data"]
    while (step := upcasters.get((event["type"], version))) is not None:
        version, data = version + 1, step(data)
    return event | {"v": version, "data": data}


def events_of(commit: Mapping[str, Any], *, key: str | None = None) -> list[Event]:
    """A commit's events, or only those that the command with ``key`` caused."""
    index = commit["cmds"].index(key) if key is not None else None
    return [Event(e["type"], e["data"]) for e in commit["events"] if index is None or e["c"] == index]


def rows_of(commit: Mapping[str, Any], *, skip: int = 0) -> Iterator[dict[str, Any]]:
    """The commit as rows ``{stream, seq, type, payload, actor, ts}``, ranges flattened.

    The first ``skip`` rows are passed over, at little cost however many they are.
    """
    for event in events_of(commit):
        rows = rows_in(event)
        if skip >= rows:
            skip -= rows
            continue
        for row in flatten(event, skip=skip):
            yield {
                "stream": commit["stream"],
                "seq": commit["seq"],
                "type": row.type,
                "payload": row.data,
                "actor": commit["actor"],
                "ts": commit["ts"],
            }
        skip = 0

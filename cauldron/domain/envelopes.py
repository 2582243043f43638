"""What live streams say: the log's commits as one family of messages, and places in a stream's log.

The messages of a commit are a function of the commit and its stream's heading alone,
so that every process and every replay says the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from cauldron.domain.cook_state import Cook
from cauldron.domain.status import output_id, piece_id, status_document
from cauldron.domain.times import iso

MAX_RANGES = 500  # of one cook.reviewed
MAX_VALUE_BYTES = 4096  # of an output that is sent along; larger ones are to be fetched
MAX_ID = 64  # characters of one place
VERSION = "1"  # of the mapping: places of another one are not understood
COOK_TYPES: Mapping[str, str] = {
    "CookStarted": "cook.started",
    "PiecesQueued": "cook.queued",
    "PiecesReviewed": "cook.reviewed",
    "CookPaused": "cook.paused",
    "CookResumed": "cook.resumed",
    "CookStopped": "cook.stopped",
    "CookCompleted": "cook.completed",
    "CookFailed": "cook.failed",
    "CookExported": "cook.exported",
}
TYPES: Mapping[str, str] = {
    "snapshot": "The state at the start of a stream; what follows happened after it.",
    "reset": "The state now: what came before it could not be continued, forget it.",
    "executionStarted": "A cast began.",
    "stepUpdate": "A step of a cast ended.",
    "generationUpdate": "A piece or a tool execution ended; its output or its error.",
    "generationProgress": "Counters of a cook, the newest only, at most five times a second.",
    "spellExecutionError": "Why a cast failed; executionFinished follows.",
    "executionFinished": "A cast ended; its status says how.",
    "cook.started": "A cook began.",
    "cook.queued": "A range of pieces entered the queue.",
    "cook.reviewed": "Decisions on ranges of pieces.",
    "cook.paused": "No further piece starts; the reason is kept.",
    "cook.resumed": "Pieces start again.",
    "cook.stopped": "The cook was ended before all pieces were made.",
    "cook.completed": "Every slot is settled.",
    "cook.failed": "The cook cannot continue.",
    "cook.exported": "An export finished.",
    "goodbye": "The server ends the stream; the reason says why.",
}
_HIDDEN = frozenset(("plan", "configHash", "slots", "owner", "cookId", "collectionId", "tokens", "pieces"))
_EXECUTION = {"CastCompleted": "completed", "CastFailed": "failed", "CastCancelled": "cancelled"}


class Heading(NamedTuple):
    """What every message of a stream names: from the first event of the stream."""

    topic: str  # cook:<id> | cast:<id>
    owner: str
    cook_id: str | None = None
    cast_id: str | None = None
    collection_id: str | None = None
    spell_id: str | None = None

    @property
    def kind(self) -> str:
        """``cook`` or ``cast``."""
        return self.topic.partition(":")[0]


class Envelope(NamedTuple):
    """One message. ``wide`` ones are shown on the account's topic, too."""

    type: str
    payload: dict[str, Any]
    wide: bool = True


def heading_of(first: Mapping[str, Any]) -> Heading | None:
    """The heading of the stream that begins with this commit; None where nobody listens to it."""
    event = first["events"][0]
    data = event["data"]
    if event["type"] == "CookStarted":
        generator = data["generator"]
        return Heading(
            topic=first["stream"],
            owner=data["owner"],
            cook_id=data["cookId"],
            collection_id=data["collectionId"],
            spell_id=generator["id"] if generator["kind"] == "spell" else None,
        )
    if event["type"] == "CastStarted":
        return Heading(
            topic=first["stream"], owner=data["owner"], cast_id=data["castId"], spell_id=data["spellId"]
        )
    return None


def envelopes(heading: Heading, commit: Mapping[str, Any]) -> list[Envelope]:
    """The messages of a whole commit (see :func:`cauldron.domain.codec.unpack`), in order."""
    return [each for event in commit["events"] for each in _messages(heading, event, commit)]


def encode(envelope: Envelope, *, topic: str, ts: int) -> bytes:
    """The JSON text of a message: ``{type, topic, ts, payload}``."""
    body = {"type": envelope.type, "topic": topic, "ts": iso(ts), "payload": envelope.payload}
    return orjson.dumps(body)


def progress(cook: Cook, *, seq: int) -> Envelope:
    """The counters of a cook as a message."""
    doc = status_document(cook, seq=seq)
    done = max(0, doc["targetSupply"] - doc["queued"])
    share = round(100 * done / doc["targetSupply"], 2) if doc["targetSupply"] else 0.0
    left_out = ("_id", "schemaVersion", "owner", "visibility", "environment", "cookId", "collectionId")
    counters = {key: value for key, value in doc.items() if key not in left_out}
    ids = {"cookId": doc["cookId"], "castId": None, "collectionId": doc["collectionId"]}
    return Envelope("generationProgress", ids | counters | {"percent": share})


def _messages(heading: Heading, event: Mapping[str, Any], commit: Mapping[str, Any]) -> Iterator[Envelope]:
    kind, data = event["type"], event["data"]
    if kind in ("PieceGenerated", "GenerationFailed"):
        yield _piece(heading, data)
    elif kind == "PiecesReviewed":
        yield from _reviewed(heading, data, actor=commit["actor"])
    elif kind in COOK_TYPES:
        body = {key: value for key, value in data.items() if key not in _HIDDEN}
        yield Envelope(COOK_TYPES[kind], _ids(heading) | body | {"actor": commit["actor"]})
    elif kind == "CastStarted":
        body = {"status": "running", "spellName": data["spellName"], "spellVersion": data["spellVersion"]}
        yield Envelope("executionStarted", _ids(heading) | body)
    elif kind == "CastStepEnded":
        yield from _steps(heading, data, first=0, total=None)
    elif kind in _EXECUTION:
        yield from _ended(heading, data, status=_EXECUTION[kind])


def _ids(heading: Heading, *, cast_id: str | None = None) -> dict[str, Any]:
    return {
        "cookId": heading.cook_id,
        "castId": cast_id or heading.cast_id,
        "collectionId": heading.collection_id,
        "spellId": heading.spell_id,
    }


def _piece(heading: Heading, data: Mapping[str, Any]) -> Envelope:
    cook_id, number, attempt = heading.cook_id or "", data["piece"], data["attempt"]
    steps = data.get("steps") or ()
    error = data.get("error")
    body = {
        "pieceId": piece_id(cook_id, number),
        "piece": number,
        "slot": data["slot"],
        "attempt": attempt,
        "status": "failed" if error else "success",
        "generationId": output_id(cook_id, number, attempt, len(steps) - 1) if steps else None,
        "output": _bounded(data.get("output")),
        "error": error,
        "durationMs": data["durationMs"],
        "costUsd": data["costMicroUsd"] / 1_000_000,
        "pointsSpent": data.get("pointsMilli", 0) / 1000,
    }
    cast_id = f"{cook_id}.{number}.{attempt}" if heading.spell_id else None
    return Envelope("generationUpdate", _ids(heading, cast_id=cast_id) | body, wide=False)


def _reviewed(heading: Heading, data: Mapping[str, Any], *, actor: str) -> Iterator[Envelope]:
    """The decision, in as many messages as keep each one small."""
    ranges = data["pieces"]
    for start in range(0, len(ranges), MAX_RANGES):
        body = {key: value for key, value in data.items() if key not in _HIDDEN}
        body |= {"pieces": ranges[start : start + MAX_RANGES], "actor": actor}
        yield Envelope("cook.reviewed", _ids(heading) | body)


def _steps(heading: Heading, data: Mapping[str, Any], *, first: int, total: int | None) -> Iterator[Envelope]:
    """What is told of steps that have ended, from number ``first`` of the cast's records on."""
    for index, step in enumerate(data.get("steps") or ()):
        if index + data.get("index", 0) < first:
            continue
        body = {
            "generationId": f"{heading.cast_id}.{step.get('attempt', 1)}.{index + data.get('index', 0)}",
            "toolId": step["toolId"],
            "toolDisplayName": step["toolDisplayName"],
            "status": step["status"],
            "error": step.get("error"),
            "durationMs": step["endMs"] - step["startMs"],
            "costUsd": step["costMicroUsd"] / 1_000_000,
        }
        place = {"step": step["step"], "index": index + data.get("index", 0), "steps": total}
        yield Envelope("stepUpdate", _ids(heading) | place | body)
        yield Envelope("generationUpdate", _ids(heading) | body | {"outputs": _bounded(step["outputs"])})


def _ended(heading: Heading, data: Mapping[str, Any], *, status: str) -> Iterator[Envelope]:
    steps = data.get("steps") or ()
    yield from _steps(heading, data, first=data.get("told", 0), total=len(steps))
    error = data.get("error")
    if status == "failed":
        yield Envelope("spellExecutionError", _ids(heading) | {"error": error})
    end = {
        "status": status,
        "outputs": _bounded(data.get("outputs") or {}),
        "error": error,
        "costUsd": sum(step["costMicroUsd"] for step in steps) / 1_000_000,
        "pointsSpent": data.get("pointsMilli", 0) / 1000,
    }
    yield Envelope("executionFinished", _ids(heading) | end)


def _bounded(value: Any) -> Any:
    """The value itself, or that it is too large to be sent to everybody."""
    if value is None or len(orjson.dumps(value)) <= MAX_VALUE_BYTES:
        return value
    return {"omitted": "too large; read it from the record"}


class Place(NamedTuple):
    """How far a reader of one stream has come: ``part`` messages of commit ``seq``, 0 for all of them.

    ``check`` is the instant of that commit, so that a place of another history (a
    restored backup, say) is recognised instead of continued.
    """

    seq: int
    part: int
    check: int  # ms; 0 with seq 0: nothing yet

    def text(self) -> str:
        """The opaque id of the last message received."""
        return f"{VERSION}.{self.check:x}.{self.seq}.{self.part}"


def place_of(text: str) -> Place | None:
    """The place that an id names; None when it is not one of this version."""
    parts = text.split(".")
    if len(text) > MAX_ID or not text.isascii() or len(parts) != 4 or parts[0] != VERSION:
        return None
    if not all(part.isalnum() for part in parts):
        return None
    try:
        return Place(int(parts[2]), int(parts[3]), int(parts[1], 16))
    except ValueError:
        return None

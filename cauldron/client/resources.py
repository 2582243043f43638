"""What the API offers, as methods: each a flow, for blocking and asynchronous clients alike.

Documents are the server's own JSON (camelCase); pages are walked without being asked for.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from cauldron.client.asking import ask, exchange
from cauldron.client.errors import Failure
from cauldron.client.events import Event, Following, follow
from cauldron.client.flows import Ask, D, Emit, Flow, Resource, Step, Wait, call, stream

Document = dict[str, Any]
RESTING = frozenset(("Completed", "Exported", "Stopped", "Failed", "Paused"))
ENDED = frozenset(("completed", "failed", "cancelled"))
DONE = frozenset(("done", "failed", "cancelled"))
API = "/api/v1"
MOST_DECISIONS = 50


def _given(**values: Any) -> Document:
    return {key: value for key, value in values.items() if value is not None}


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def _pages(path: str, **query: Any) -> Generator[Step, Any, Document]:
    """Emits the items of all pages."""
    wanted = _given(**query)
    while True:
        page = yield from ask("GET", path, query=wanted)
        for item in page["items"]:
            yield Emit(item)
        if page["next"] is None:
            return {}
        wanted["cursor"] = page["next"]


class Collections(Resource[D]):
    """Collections."""

    @stream
    def list(self) -> Generator[Step, Any, Document]:
        """Every collection of the account, latest change first."""
        return (yield from _pages(f"{API}/collections"))

    @call
    def create(self, definition: Mapping[str, Any], *, key: str | None = None) -> Flow[Document]:
        """Keep a new collection; ``definition`` is a collection document."""
        body = {"definition": definition}
        return (yield from ask("POST", f"{API}/collections", json=body, headers=_key(key)))

    @call
    def get(self, collection_id: str) -> Flow[Document]:
        """A collection; ``etag`` in it is what :meth:`replace` takes."""
        answer = yield from exchange(Ask(method="GET", path=f"{API}/collections/{collection_id}"))
        return answer.json() | {"etag": answer.headers.get("etag", "")}

    @call
    def replace(self, collection_id: str, definition: Mapping[str, Any], *, etag: str) -> Flow[Document]:
        """Change a collection that is still at ``etag``. Raises Changed."""
        path, body = f"{API}/collections/{collection_id}", {"definition": definition}
        return (yield from ask("PUT", path, json=body, headers={"If-Match": etag}))

    @call
    def remove(self, collection_id: str) -> Flow[None]:
        """Take a collection away; pieces that were made stay."""
        yield from ask("DELETE", f"{API}/collections/{collection_id}")

    @call
    def validate(self, definition: Mapping[str, Any]) -> Flow[Document]:
        """``{ok, problems}`` of a document that is not kept."""
        return (yield from ask("POST", f"{API}/collections/validate", json={"definition": definition}))

    @call
    def count(self, collection_id: str) -> Flow[Document]:
        """``{combinations, exact}``."""
        return (yield from ask("GET", f"{API}/collections/{collection_id}/count"))

    @call
    def plan(self, collection_id: str, *, rows: int = 10, seed: str | None = None) -> Flow[Document]:
        """The forecast and first rows of what would be cooked."""
        body = _given(rows=rows, seed=seed)
        return (yield from ask("POST", f"{API}/collections/{collection_id}/plan", json=body))

    @call
    def test(
        self, collection_id: str, traits: Mapping[str, Any] | None = None, *, seed: str = ""
    ) -> Flow[Document]:
        """Make one piece with chosen traits: ``{castId, …}``."""
        body = {"traits": dict(traits or {}), "seed": seed}
        return (yield from ask("POST", f"{API}/collections/{collection_id}/test", json=body))

    @call
    def clone(self, collection_id: str, *, name: str | None = None) -> Flow[Document]:
        """A copy under another name."""
        return (yield from ask("POST", f"{API}/collections/{collection_id}/clone", json=_given(name=name)))


class Cooks(Resource[D]):
    """Cooks."""

    @call
    def start(
        self,
        collection_id: str,
        *,
        amount: int | None = None,
        seed: str | None = None,
        key: str | None = None,
    ) -> Flow[Document]:
        """Start a cook, or go on with the active one: ``{cookId, fresh, …}``."""
        path, body = f"{API}/collections/{collection_id}/cook/start", _given(amount=amount, seed=seed)
        return (yield from ask("POST", path, json=body, headers=_key(key)))

    @stream
    def list(self, *, active: bool | None = None) -> Generator[Step, Any, Document]:
        """Every cook, newest first."""
        wanted = None if active is None else str(active).lower()
        return (yield from _pages(f"{API}/cooks", active=wanted))

    @call
    def get(self, cook_id: str) -> Flow[Document]:
        """Status and summary: progress, cost with its source, time to go, failures by reason."""
        return (yield from ask("GET", f"{API}/cooks/{cook_id}"))

    @call
    def status(self, cook_id: str) -> Flow[Document]:
        """The counters now."""
        return (yield from ask("GET", f"{API}/cooks/{cook_id}/status"))

    @call
    def pause(self, cook_id: str, *, reason: str = "") -> Flow[Document]:
        """Start no further piece; returns the status."""
        return (yield from ask("POST", f"{API}/cooks/{cook_id}/pause", json={"reason": reason}))

    @call
    def resume(self, cook_id: str, *, reason: str = "") -> Flow[Document]:
        """Go on after a pause or an end."""
        return (yield from ask("POST", f"{API}/cooks/{cook_id}/resume", json={"reason": reason}))

    @call
    def stop(self, cook_id: str, *, reason: str = "") -> Flow[Document]:
        """End the cook."""
        return (yield from ask("POST", f"{API}/cooks/{cook_id}/stop", json={"reason": reason}))

    @call
    def refill(self, cook_id: str, *, same: bool = False) -> Flow[Document]:
        """Make rejected and failed pieces anew: ``{queued}``."""
        return (yield from ask("POST", f"{API}/cooks/{cook_id}/refill", json={"same": same}))

    @stream
    def events(self, cook_id: str) -> Generator[Step, Any, Document]:
        """What happened, a row per event, oldest first."""
        return (yield from _pages(f"{API}/cooks/{cook_id}/events"))

    @stream
    def stream(self, cook_id: str, *, last_id: str = "") -> Generator[Step, Any, Event]:
        """Live events, from now or from after ``last_id``; goes on by itself after every loss."""
        path = f"{API}/cooks/{cook_id}/stream"
        return (yield from follow(Ask(method="GET", path=path), last_id=last_id))

    @call
    def wait(self, cook_id: str) -> Flow[Document]:
        """The status once the cook rests: completed, stopped, paused or failed."""
        following = Following(Ask(method="GET", path=f"{API}/cooks/{cook_id}/stream"))
        while True:
            events = yield from following.next()
            if any(event.is_beginning or event.type.startswith("cook.") for event in events):
                status: Document = yield from ask("GET", f"{API}/cooks/{cook_id}/status")
                if status["state"] in RESTING:
                    return status


class Pieces(Resource[D]):
    """Pieces and their review."""

    @stream
    def list(self, cook_id: str, *, state: str | None = None) -> Generator[Step, Any, Document]:
        """The pieces of a cook by number, perhaps only those in one state."""
        return (yield from _pages(f"{API}/cooks/{cook_id}/pieces", state=state))

    @call
    def get(self, piece_id: str) -> Flow[Document]:
        """One piece with its traits and output."""
        return (yield from ask("GET", f"{API}/pieces/{piece_id}"))

    @call
    def pop(self, cook_id: str, *, limit: int = 48) -> Flow[Sequence[Document]]:
        """Unreviewed pieces, kept from other reviewers for a while."""
        page = yield from ask("POST", f"{API}/cooks/{cook_id}/review/pop", json={"limit": limit})
        found: Sequence[Document] = page["items"]
        return found

    @call
    def approve(self, piece_id: str) -> Flow[Document]:
        """It will be part of the collection."""
        return (yield from ask("POST", f"{API}/pieces/{piece_id}/approve"))

    @call
    def reject(self, piece_id: str, *, reason: str = "") -> Flow[Document]:
        """A re-roll makes another for its slot."""
        return (yield from ask("POST", f"{API}/pieces/{piece_id}/reject", json={"reason": reason}))

    @call
    def decide(self, decisions: Sequence[tuple[str, str]]) -> Flow[Sequence[Document]]:
        """Many ``(piece id, approve | reject | cull | keep | revive | reset)`` at once, a result for each."""
        results: list[Document] = []
        for start in range(0, len(decisions), MOST_DECISIONS):
            some = decisions[start : start + MOST_DECISIONS]
            items = [{"pieceId": piece, "decision": decision} for piece, decision in some]
            answer = yield from ask("POST", f"{API}/pieces/bulk", json={"items": items})
            results += answer["items"]
        return results

    @call
    def reroll(self, piece_id: str, *, same: bool = False) -> Flow[Document]:
        """Make another piece for a rejected or failed one."""
        return (yield from ask("POST", f"{API}/pieces/{piece_id}/reroll", json={"same": same}))


class Casts(Resource[D]):
    """Casts: single runs of a spell or tool."""

    @call
    def start(
        self,
        inputs: Mapping[str, Any],
        *,
        spell: str | None = None,
        tool: str | None = None,
        version: str | None = None,
        key: str | None = None,
    ) -> Flow[Document]:
        """Run a spell (slug or id) or a tool once: ``{castId, runId, creditTxId}``."""
        body = _given(spell=spell, tool=tool, version=version) | {"inputs": dict(inputs)}
        return (yield from ask("POST", f"{API}/casts", json=body, headers=_key(key)))

    @stream
    def list(self, *, status: str | None = None) -> Generator[Step, Any, Document]:
        """Every cast, newest first."""
        return (yield from _pages(f"{API}/casts", status=status))

    @call
    def get(self, cast_id: str) -> Flow[Document]:
        """Status, outputs and steps."""
        return (yield from ask("GET", f"{API}/casts/{cast_id}"))

    @call
    def cancel(self, cast_id: str) -> Flow[Document]:
        """End it without an output."""
        return (yield from ask("POST", f"{API}/casts/{cast_id}/cancel"))

    @stream
    def stream(self, cast_id: str, *, last_id: str = "") -> Generator[Step, Any, Event]:
        """Live events of one cast."""
        path = f"{API}/casts/{cast_id}/stream"
        return (yield from follow(Ask(method="GET", path=path), last_id=last_id))

    @call
    def wait(self, cast_id: str) -> Flow[Document]:
        """The cast once it has ended."""
        following = Following(Ask(method="GET", path=f"{API}/casts/{cast_id}/stream"))
        while True:
            events = yield from following.next()
            if any(event.is_beginning or event.type == "executionFinished" for event in events):
                cast: Document = yield from ask("GET", f"{API}/casts/{cast_id}")
                while cast["status"] not in ENDED and events[-1].type == "executionFinished":
                    yield Wait(0.1)  # the log is ahead of the record by a moment
                    cast = yield from ask("GET", f"{API}/casts/{cast_id}")
                if cast["status"] in ENDED:
                    return cast


class Exports(Resource[D]):
    """Exports of approved pieces."""

    @call
    def start(self, cook_id: str, *, partial: bool = False, publish: bool = False) -> Flow[Document]:
        """Export a cook: ``{exportId, …}``."""
        body = {"partial": partial, "publish": publish}
        return (yield from ask("POST", f"{API}/cooks/{cook_id}/exports", json=body))

    @call
    def get(self, export_id: str) -> Flow[Document]:
        """How far it is, or how it ended."""
        return (yield from ask("GET", f"{API}/exports/{export_id}"))

    @call
    def wait(self, export_id: str, *, every_s: float = 0.5) -> Flow[Document]:
        """The export once it has ended."""
        while True:
            found: Document = yield from ask("GET", f"{API}/exports/{export_id}")
            if found["status"] in DONE:
                return found
            yield Wait(every_s)

    @call
    def cancel(self, export_id: str) -> Flow[Document]:
        """End it."""
        return (yield from ask("POST", f"{API}/exports/{export_id}/cancel"))

    @call
    def download(self, export_id: str) -> Flow[bytes]:
        """The ZIP file."""
        answer = yield from exchange(Ask(method="GET", path=f"{API}/exports/{export_id}/download"))
        return answer.content


class Media(Resource[D]):
    """Pictures and other contents, by their hash; uploads."""

    @call
    def get(self, ref: Mapping[str, Any] | str) -> Flow[bytes]:
        """The bytes that a media reference names."""
        answer = yield from exchange(Ask(method="GET", path=f"{API}/media/{_digest(ref)}"))
        return answer.content

    @call
    def thumbnail(self, ref: Mapping[str, Any] | str) -> Flow[bytes]:
        """A small version of a picture."""
        answer = yield from exchange(Ask(method="GET", path=f"{API}/media/{_digest(ref)}/thumbnail"))
        return answer.content

    @call
    def upload(self, name: str, content: bytes, *, mime: str) -> Flow[Document]:
        """Bring in a picture: its ``ref`` goes into inputs and definitions."""
        answer = yield from exchange(Ask(method="POST", path=f"{API}/uploads", files=[(name, content, mime)]))
        found: Document = answer.json()["items"][0]
        return found


class Account(Resource[D]):
    """Everything of the account at once."""

    @stream
    def stream(
        self, topics: Sequence[str] = ("account",), *, last_id: str = ""
    ) -> Generator[Step, Any, Event]:
        """Live events of up to 20 topics: ``account``, ``cook:<id>``, ``cast:<id>``."""
        if not topics:
            raise Failure("name at least one topic")
        query = {"topics": ",".join(topics)}
        return (yield from follow(Ask(method="GET", path=f"{API}/events", query=query), last_id=last_id))


def _digest(ref: Mapping[str, Any] | str) -> str:
    text = ref if isinstance(ref, str) else str(ref["media"])
    return text.removeprefix("sha256:")

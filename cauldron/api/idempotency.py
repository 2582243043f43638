"""``Idempotency-Key``: a request that arrives twice is carried out once and answered twice."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.api.bounds import WITH_BODY, upload_of
from cauldron.api.problems import problem
from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal
from cauldron.services.replaying import MAX_BODY_BYTES, Kept, Ticket

MAX_KEY = 255
REPEATABLE = frozenset((401, 403, 408, 425, 429))  # and 5xx: nothing was done, so the key stays free
# Bodies with passwords: not even their hash is kept, since it could be guessed at.
WITH_PASSWORD = frozenset(
    f"/api/v1/{path}" for path in ("setup", "session", "me/password", "invitations/accept")
)
Pair = tuple[bytes, bytes]


class Idempotency:
    """Takes the key of a changing request, keeps its answer, and gives it again.

    An answer that says ``no-store`` or sets a cookie holds a secret and is given once;
    one above 256 kB is not kept: then the request is carried out again, and finds its
    command done, because routes hand the key on.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        key = _key(scope)
        principal = scope.get("state", {}).get("principal")
        if key is None or not isinstance(principal, Principal):
            await self._app(scope, receive, send)
            return
        if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
            detail = f"Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters, sent once"
            await problem(400, "malformed_idempotency_key", detail)(scope, receive, send)
            return
        scope["state"]["idempotency_key"] = key
        body, receive = await _body(scope, receive)
        found = await self._studio.replays.begin(
            f"{principal.account}/{principal.user}", key, fingerprint=_fingerprint(scope, body)
        )
        if isinstance(found, Kept):
            self._studio.metrics.add("cauldron_idempotent_replays_total")
            await _replay(found, send)
        else:
            await self._first(found, scope, receive, send)

    async def _first(self, ticket: Ticket, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        renewing = asyncio.create_task(self._studio.replays.renew(ticket))
        try:
            await self._app(scope, receive, answer.take)
        except BaseException:
            renewing.cancel()
            await asyncio.shield(self._studio.replays.free(ticket))
            raise
        renewing.cancel()
        await self._keep(ticket, answer)
        await answer.flush()

    async def _keep(self, ticket: Ticket, answer: "_Answer") -> None:
        replays, kept = self._studio.replays, answer.kept()
        if answer.status >= 500 or answer.status in REPEATABLE:
            await replays.free(ticket)
        elif answer.is_secret():
            await replays.withhold(ticket)
        elif kept is None:
            await replays.free(ticket)
        else:
            await replays.keep(ticket, kept)


@dataclass(slots=True)
class _Answer:
    """An answer on its way out: held back until it is kept, unless it grows too large for that."""

    send: Send
    status: int = 500
    headers: list[Pair] = field(default_factory=list)
    held: list[Message] = field(default_factory=list)
    size_bytes: int = 0
    too_large: bool = False

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        self.size_bytes += len(message.get("body", b""))
        self.held.append(message)
        if self.too_large or self.size_bytes > MAX_BODY_BYTES:
            self.too_large = True
            await self.flush()

    async def flush(self) -> None:
        held, self.held = self.held, []
        for message in held:
            await self.send(message)

    def is_secret(self) -> bool:
        names = {name.lower(): value for name, value in self.headers}
        return b"set-cookie" in names or b"no-store" in names.get(b"cache-control", b"")

    def kept(self) -> Kept | None:
        """What is kept of it; None when it cannot be."""
        if self.too_large or not self.held:
            return None
        try:
            body = b"".join(message.get("body", b"") for message in self.held).decode()
        except UnicodeDecodeError:
            return None
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers)
        return Kept(status=self.status, headers=headers, body=body)


def _key(scope: Scope) -> str | None:
    """The key of a request that changes something; several are as bad as one that is too long."""
    if scope["type"] != "http" or scope["method"] not in WITH_BODY or scope["path"] in WITH_PASSWORD:
        return None
    found = Headers(scope=scope).getlist("idempotency-key")
    return "\n".join(found) if found else None


async def _body(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """The body, which Bounds has read whole; an upload's is not looked at."""
    if upload_of(scope) is not None:
        return b"", receive
    message = await receive()
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return message.get("body", b""), again


def _fingerprint(scope: Scope, body: bytes) -> str:
    length = [value for name, value in scope["headers"] if name == b"content-length"]
    parts: Iterable[bytes] = (
        scope["method"].encode(),
        scope["path"].encode(),
        scope.get("query_string", b""),
        b"".join(length) if not body else b"",
        body,
    )
    return sha256(b"\0".join(parts)).hexdigest()


async def _replay(kept: Kept, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
    headers.append((b"idempotent-replay", b"true"))
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body.encode()})

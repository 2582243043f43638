"""Blobs in an S3-compatible store, shared by many hosts: the keys are those of the local directory.

What is read is kept in a bounded local folder. Tools write their outputs into the
same folder, and ``send`` makes them durable before anybody hears of success.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore import delete_async, get_async, head_async, put_async
from obstore import list as list_objects
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from cauldron.domain.errors import CauldronError, Invalid, NotFound, StorageFull, Unavailable

LOOK_FIRST_BYTES = 1024 * 1024  # above it, asking whether a blob is there already costs less than sending it
IN_MEMORY_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 4 * 1024 * 1024
IN_FLIGHT = 32
RETRIES = 6
KEPT_MS = 120_000  # a copy used within this time is not evicted: another process may be reading it
FULL_ENOUGH = 0.8  # of the bound, after an eviction
DENIED = re.compile(r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|\b40[13]\b")
NO_BUCKET = re.compile(r"NoSuchBucket|PermanentRedirect")
ABSENT = (NotFoundError, FileNotFoundError)
REFUSED_LOGIN = (PermissionDeniedError, UnauthenticatedError, PermissionError)
NO_ROOM = re.compile(r"QuotaExceeded|InsufficientStorage|\b507\b")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"sha256/([0-9a-f]{2})/([0-9a-f]{62})")
_OPTIONS = {"endpoint", "region", "virtual_hosted_style"}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


class LocalFiles(Protocol):
    """The folder of local copies; ``adapters.fs.BlobFiles`` is one."""

    root: Path

    def put_bytes(self, data: bytes) -> str: ...
    def put_path(self, path: Path) -> str: ...
    def path(self, digest: str) -> Path: ...
    def read(self, digest: str) -> bytes: ...
    def size(self, digest: str) -> int | None: ...
    def touched_ms(self, digest: str) -> int | None: ...
    def delete(self, digest: str) -> None: ...
    def each(self) -> Iterator[tuple[str, int]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A bucket and a prefix in it. Credentials are never part of it: they come from the environment."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    virtual_hosted_style: bool = False

    @classmethod
    def parse(cls, url: str) -> "Place":
        """``s3://bucket/prefix?endpoint=https://host&region=auto``.

        Raises:
            Invalid: malformed, or it holds a login. The URL is not repeated.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError:
            raise Invalid("malformed: s3://BUCKET/PREFIX?endpoint=…&region=… is wanted", path="url") from None
        if "@" in parts.netloc or ":" in parts.netloc:
            raise Invalid(
                "no login belongs into it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", path="url"
            )
        prefix = unquote(parts.path).strip("/")
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or ".." in prefix or "\0" in prefix:
            raise Invalid("malformed: s3://BUCKET/PREFIX?endpoint=…&region=… is wanted", path="url")
        if unknown := sorted(options.keys() - _OPTIONS):
            raise Invalid(f"unknown option {unknown[0]!r}: {', '.join(sorted(_OPTIONS))}", path="url")
        endpoint = options.get("endpoint")
        if endpoint is not None:
            _check_endpoint(endpoint)
        return cls(
            bucket=parts.netloc,
            prefix=prefix,
            endpoint=endpoint,
            region=options.get("region"),
            virtual_hosted_style=options.get("virtual_hosted_style", "false").lower() in ("1", "true", "yes"),
        )

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def _check_endpoint(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Invalid("its endpoint must be http(s)://host, without a login", path="url")


def _connect(place: Place) -> S3Store:
    if place.endpoint and not (
        os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY")
    ):
        raise Invalid("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set", path="url")
    options: dict[str, Any] = {"virtual_hosted_style_request": place.virtual_hosted_style}
    if place.endpoint:
        options["endpoint"] = place.endpoint
    if place.region or place.endpoint:
        options["region"] = place.region or "auto"
    return S3Store(
        place.bucket,
        prefix=place.prefix or None,
        client_options={
            "allow_http": bool(place.endpoint and place.endpoint.startswith("http://")),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=120),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=60)},
        **options,
    )


def key_of(digest: str) -> str:
    """Where a blob is or would be. Raises Invalid unless ``digest`` is 64 lower-case hex digits."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise Invalid(f"{str(digest)[:80]!r} is not a SHA-256 digest", path="digest")
    return f"sha256/{digest[:2]}/{digest[2:]}"


class S3Blobs:
    """The ``BlobStore`` port on a bucket, and the spool of tools that run here."""

    def __init__(self, url: str, local: LocalFiles, *, cache_bytes: int) -> None:
        """``cache_bytes`` bounds the local copies that nobody uses at the moment.

        Raises:
            Invalid: the URL is malformed, or credentials are missing.
        """
        self.place = Place.parse(url)
        self._local = local
        self._store = _connect(self.place)
        self._copies = Copies(local, limit_bytes=cache_bytes)
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(IN_FLIGHT)

    async def open(self) -> None:
        """Ask the far side whether it knows us and the bucket.

        Raises:
            Invalid: it refuses the credentials, or there is no such bucket.
            Unavailable: it does not answer.
        """
        with self._telling("cannot be opened", refusal=Invalid):
            async for _ in list_objects(self._store, prefix="sha256/00", chunk_size=1):
                break

    async def put(self, data: bytes) -> str:
        """Store ``data``; return its digest. Raises StorageFull, Unavailable."""
        digest = hashlib.sha256(data).hexdigest()
        await self._upload(digest, data, size=len(data))
        return digest

    async def put_file(self, path: Path) -> str:
        """Store a file's content, by way of a local copy that cannot change; return its digest."""
        digest = await asyncio.to_thread(self._local.put_path, path)
        with self._copies.pinned([digest]):
            await self.send([digest])
        return digest

    async def get(self, digest: str) -> bytes:
        """The content, checked against its digest. Raises NotFound, Unavailable."""
        with self._copies.pinned([digest]):
            await self._bring(digest)
            return await asyncio.to_thread(self._local.read, digest)

    async def local_path(self, digest: str) -> Path:
        """A local, read-only copy. Raises NotFound, Unavailable."""
        await self._bring(digest)
        return self._local.path(digest)

    async def size(self, digest: str) -> int | None:
        """Size in bytes, or None when it is not stored in the bucket."""
        key = key_of(digest)
        with self._telling("cannot be asked"):
            try:
                async with self._turn:
                    return int((await head_async(self._store, key))["size"])
            except ABSENT:
                return None

    async def list(self) -> AsyncIterator[tuple[str, int]]:
        """Every (digest, size in bytes); strangers among the objects are passed over."""
        with self._telling("cannot be listed"):
            async for page in list_objects(self._store, prefix="sha256"):
                for each in page:
                    if found := _KEY.fullmatch(each["path"]):
                        yield "".join(found.groups()), int(each["size"])

    async def delete(self, digest: str) -> None:
        """Forget a blob, and the copy here; deleting what is absent is no error."""
        key = key_of(digest)
        with self._telling("cannot delete"), contextlib.suppress(*ABSENT):
            async with self._turn:
                await delete_async(self._store, key)
        await asyncio.to_thread(self._local.delete, digest)

    @asynccontextmanager
    async def holding(self, digests: Collection[str]) -> AsyncIterator[None]:
        """Local copies of these blobs, which stay while the block runs. Raises NotFound, Unavailable."""
        with self._copies.pinned(digests):
            await asyncio.gather(*(self._bring(digest) for digest in digests))
            yield

    async def send(self, digests: Collection[str]) -> None:
        """Make blobs that were written into the local folder durable. Raises StorageFull, Unavailable."""
        await asyncio.gather(*(self._send(digest) for digest in digests))

    async def _send(self, digest: str) -> None:
        size = self._local.size(digest)
        if size is None:
            raise Unavailable(f"blob {digest} has left the local folder before it was sent", digest=digest)
        self._copies.used(digest, more_bytes=size)
        await self._upload(digest, self._local.path(digest), size=size)
        await self._copies.trim()

    async def _upload(self, digest: str, content: bytes | Path, *, size: int) -> None:
        if size > LOOK_FIRST_BYTES and await self.size(digest) == size:
            return
        with self._telling("cannot be written"):
            async with self._turn:
                await put_async(self._store, key_of(digest), content)

    async def _bring(self, digest: str) -> None:
        """A local copy; several who want the same one at once share one transfer."""
        key_of(digest)
        if self._local.size(digest) is not None:
            self._copies.used(digest)
            return
        task = self._fetching.get(digest)
        if task is None:
            task = self._fetching[digest] = asyncio.create_task(self._fetch(digest))
            task.add_done_callback(lambda done: self._fetched(digest, done))
        await asyncio.shield(task)

    def _fetched(self, digest: str, done: "asyncio.Task[None]") -> None:
        self._fetching.pop(digest, None)
        if not done.cancelled():
            done.exception()  # whoever waited has heard of it

    async def _fetch(self, digest: str) -> None:
        with self._telling("cannot be read"), self._copies.pinned([digest]):
            try:
                async with self._turn:
                    got = await get_async(self._store, key_of(digest))
                    size = int(got.meta["size"])
                    found = await (self._take(got) if size <= IN_MEMORY_BYTES else self._take_in_parts(got))
            except ABSENT:
                raise NotFound(f"blob {digest} is not stored", digest=digest) from None
            if found != digest:
                await asyncio.to_thread(self._local.delete, found)
                raise Unavailable(f"blob {digest} is damaged in {self.place}", digest=digest)
            self._copies.used(digest, more_bytes=size)
            await self._copies.trim()

    async def _take(self, got: Any) -> str:
        data = bytes(await got.bytes_async())
        return await asyncio.to_thread(self._local.put_bytes, data)

    async def _take_in_parts(self, got: Any) -> str:
        handle, name = tempfile.mkstemp(dir=self._local.root / "tmp", prefix="get-")
        try:
            with os.fdopen(handle, "wb") as file:
                async for part in got.stream(min_chunk_size=CHUNK_BYTES):
                    await asyncio.to_thread(file.write, bytes(part))
            return await asyncio.to_thread(self._local.put_path, Path(name))
        finally:
            Path(name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _telling(self, what: str, *, refusal: type[CauldronError] = Unavailable) -> Iterator[None]:
        """Failures of the far side in our words; what it says may hold the key, so only its code is kept."""
        try:
            yield
        except ABSENT as exc:
            if NO_BUCKET.search(str(exc)) or refusal is Invalid:
                raise refusal(f"{self.place} {what}: there is no such bucket") from None
            raise
        except REFUSED_LOGIN:
            raise refusal(f"{self.place} {what}: the credentials are refused") from None
        except (BaseError, OSError) as exc:
            raise _meaning(str(exc), f"{self.place} {what}", refusal) from None


def _meaning(said: str, where: str, refusal: type[CauldronError]) -> CauldronError:
    if NO_ROOM.search(said):
        return StorageFull(f"{where}: no room")
    if NO_BUCKET.search(said):
        return refusal(f"{where}: there is no such bucket")
    if DENIED.search(said):
        return refusal(f"{where}: the credentials are refused")
    code = re.search(r"<Code>(\w{1,60})</Code>|status code: (\d{3})|error (connect|send)ing", said)
    return Unavailable(
        f"{where}: {next((g for g in code.groups() if g), 'no answer') if code else 'no answer'}"
    )


class Copies:
    """The bound on local copies: the longest unused go first; copies in use stay."""

    def __init__(self, local: LocalFiles, *, limit_bytes: int) -> None:
        self._local, self._limit = local, limit_bytes
        self._pins: Counter[str] = Counter()
        self._unseen = limit_bytes + 1  # bytes added since the folder was looked through; it never was
        self._trimming = asyncio.Lock()

    @contextlib.contextmanager
    def pinned(self, digests: Collection[str]) -> Iterator[None]:
        """These copies are not evicted by this process while the block runs."""
        self._pins.update(digests)
        try:
            yield
        finally:
            self._pins.subtract(digests)
            self._pins += Counter()  # drops zeros

    def used(self, digest: str, *, more_bytes: int = 0) -> None:
        """Note a use: the time of last use is the file's own, so that processes share it."""
        self._unseen += more_bytes
        with contextlib.suppress(OSError, NotFound):
            os.utime(self._local.path(digest))

    async def trim(self) -> None:
        """Evict what is over the bound, once enough has come in since the last look."""
        if self._unseen <= self._limit // 8 or self._trimming.locked():
            return
        async with self._trimming:
            self._unseen = 0
            await asyncio.to_thread(self._evict)

    def _evict(self) -> None:
        kept: list[tuple[int, int, str]] = []
        for digest, size in self._local.each():
            if (at := self._local.touched_ms(digest)) is not None:
                kept.append((at, size, digest))
        newest = max((at for at, _, _ in kept), default=0)
        total = sum(size for _, size, _ in kept)
        if total <= self._limit:
            return
        for at, size, digest in sorted(kept):
            if total <= self._limit * FULL_ENOUGH or at > newest - KEPT_MS:
                return
            if not self._pins[digest]:
                self._local.delete(digest)
                total -= size

"""Blobs in S3: copies are bounded and checked, failures hold no secrets, tools work through a spool."""

import asyncio
import hashlib
import io
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.local.pool import Pool
from cauldron.adapters.local.registry import TOOLS
from cauldron.adapters.local.runner import LocalRunner, media_in
from cauldron.adapters.s3 import Place, S3Blobs
from cauldron.domain.errors import Invalid, NotFound, StorageFull, Unavailable
from cauldron.domain.tool import check_inputs
from cauldron.ports.tools import ToolCall, ToolResult
from tests import s3server

Make = Callable[..., S3Blobs]
OLD_S = 7200


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """``make("a")`` is a handle of host ``a``; all share one place unless another URL is given."""
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    here = s3server.shared().url()

    def made(host: str = "a", *, url: str = here, cache_bytes: int = 1 << 30) -> S3Blobs:
        return S3Blobs(url, BlobFiles(tmp_path / host), cache_bytes=cache_bytes)

    return made


def object_file(blobs: S3Blobs, digest: str) -> Path:
    """Where the server keeps an object."""
    return (
        s3server.shared().root / blobs.place.bucket / blobs.place.prefix / "sha256" / digest[:2] / digest[2:]
    )


def copies(folder: Path) -> dict[str, int]:
    return dict(BlobFiles(folder).each())


def test_keys_are_those_of_the_local_directory(make: Make, run: Any):
    blobs = make()
    digest = run(blobs.put(b"x"))
    assert object_file(blobs, digest).read_bytes() == b"x"


def test_large_blobs_come_and_go_in_parts(make: Make, run: Any, tmp_path: Path):
    async def story() -> None:
        path = tmp_path / "large"
        path.write_bytes(os.urandom(1 << 20) * 20)
        digest = await make("a").put_file(path)
        copy = await make("b").local_path(digest)
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == digest
        assert list((tmp_path / "b" / "tmp").iterdir()) == []

    run(story())


@pytest.mark.parametrize("size", [100, 9 << 20])
def test_what_was_damaged_over_there_is_never_handed_out(make: Make, run: Any, tmp_path: Path, size: int):
    async def story() -> None:
        digest = await make("a").put(os.urandom(size))
        object_file(make(), digest).write_bytes(b"y" * size)
        for asking in (make("b").get, make("b").local_path):
            with pytest.raises(Unavailable, match="damaged"):
                await asking(digest)
        assert copies(tmp_path / "b") == {}

    run(story())


def test_copies_stay_within_their_bound_and_the_longest_unused_go_first(make: Make, run: Any, tmp_path: Path):
    async def story() -> None:
        digests = [await make("a").put(b"%d" % (n % 10) * 1000 + b"%d" % n) for n in range(20)]
        host = make("b", cache_bytes=10_500)
        for n, digest in enumerate(digests):
            path = await host.local_path(digest)
            os.utime(path, (0, time.time() - OLD_S + n))
        kept = copies(tmp_path / "b")
        assert sum(kept.values()) <= 10_500 + 1002 * 2  # looked at once an eighth of the bound has come in
        assert digests[-1] in kept
        assert digests[0] not in kept
        assert await host.get(digests[0]) == b"0" * 1000 + b"0"  # evicted is not lost

    run(story())


def test_copies_in_use_are_not_evicted(make: Make, run: Any, tmp_path: Path):
    async def story() -> None:
        digests = [await make("a").put(b"%d" % n * 500) for n in range(10, 30)]
        host = make("b", cache_bytes=2_000)
        async with host.holding(digests[:3]):
            for digest in digests:
                os.utime(await host.local_path(digest), (0, time.time() - OLD_S))
            assert set(digests[:3]) <= copies(tmp_path / "b").keys()
        assert len(copies(tmp_path / "b")) < 12

    run(story())


def test_many_who_want_one_blob_share_one_transfer(make: Make, run: Any, tmp_path: Path):
    class Counting(BlobFiles):
        puts = 0

        def put_bytes(self, data: bytes) -> str:
            self.puts += 1
            return super().put_bytes(data)

    async def story() -> None:
        digest = await make("a").put(b"popular" * 1000)
        files = Counting(tmp_path / "b")
        host = S3Blobs(s3server.shared().url(make().place.prefix), files, cache_bytes=1 << 20)
        paths = await asyncio.gather(*(host.local_path(digest) for _ in range(50)))
        assert (len(set(paths)), files.puts) == (1, 1)
        absent = await asyncio.gather(*(host.local_path("0" * 64) for _ in range(5)), return_exceptions=True)
        assert {type(each) for each in absent} == {NotFound}

    run(story())


def test_a_local_copy_is_no_proof_that_the_bucket_has_it(make: Make, run: Any):
    """A process killed before it sent its output left a copy; putting the same content must send it."""

    async def story() -> None:
        host = make("a")
        BlobFiles(host._local.root).put_bytes(b"left behind")
        digest = await host.put(b"left behind")
        assert await make("b").get(digest) == b"left behind"

    run(story())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "malformed"),
        ("s3://bucket/../x", "malformed"),
        ("s3://a b/x", "malformed"),
        ("s3://id:hush@bucket/x", "no login"),
        ("s3://bucket?region", "malformed"),
        ("s3://bucket?colour=red", "colour"),
        ("s3://bucket?endpoint=ftp://x", "endpoint"),
        ("s3://bucket?endpoint=http://id:hush@host", "endpoint"),
        ("s3://bucket\0/x", "malformed"),
    ],
)
def test_a_malformed_url_is_refused_and_not_repeated(url: str, said: str):
    with pytest.raises(Invalid, match=said) as failure:
        Place.parse(url)
    assert "hush" not in str(failure.value)


def test_refused_credentials_and_missing_buckets_are_told_apart_without_secrets(
    make: Make, run: Any, monkeypatch: pytest.MonkeyPatch
):
    def told(blobs: S3Blobs) -> str:
        with pytest.raises(Invalid) as failure:
            run(blobs.open())
        return str(failure.value)

    assert "no such bucket" in told(make(url=s3server.shared().url(bucket="nowhere")))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-but-secret")
    wrong = told(make())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger-to-it")
    stranger = told(make())
    for text in (wrong, stranger):
        assert "the credentials are refused" in text
        assert "secret" not in text
        assert "stranger" not in text
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(Invalid, match="AWS_ACCESS_KEY_ID"):
        make()


def test_a_server_that_is_away_is_unavailable(make: Make, run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cauldron.adapters.s3.RETRIES", 0)
    blobs = make(url="s3://tests/x?endpoint=http://127.0.0.1:9&region=auto")

    async def story() -> None:
        for ask in (blobs.open(), blobs.put(b"x"), blobs.get("0" * 64), blobs.size("0" * 64)):
            with pytest.raises(Unavailable):
                await ask

    run(story())


# -- tools that work through the spool ----------------------------------------


@pytest.fixture
def pool(tmp_path: Path, run: Any) -> Iterator[Pool]:
    found = Pool(command=[sys.executable, "-m", "cauldron.member", str(tmp_path / "b")], size=1)
    yield found
    run(found.close())


def compose(refs: list[dict[str, Any]]) -> ToolCall:
    tool = next(declared for declared, _ in TOOLS.values() if declared.id == "layers.compose")
    return ToolCall(tool=tool, inputs=check_inputs(tool, {"layers": refs}), key="k")


async def stored_picture(blobs: S3Blobs, colour: str) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGBA", (32, 32), colour).save(file, "PNG")
    data = file.getvalue()
    return {"media": f"sha256:{await blobs.put(data)}", "mime": "image/png", "sizeBytes": len(data)}


def test_outputs_are_in_the_bucket_before_a_run_counts_as_a_success(make: Make, run: Any, pool: Pool):
    async def story() -> None:
        there = make("a")
        refs = [await stored_picture(there, colour) for colour in ("red", "#00ff0080")]
        result = await LocalRunner(pool, make("b")).submit(compose(refs))
        assert result.status == "success"
        (digest,) = media_in(result.outputs)
        assert (await there.get(digest)).startswith(b"\x89PNG")

    run(story())


def test_a_run_whose_output_cannot_be_sent_is_a_failure_that_may_be_tried_again(
    make: Make, run: Any, pool: Pool
):
    class Full:
        """A spool whose far side has no room."""

        def __init__(self, inner: S3Blobs) -> None:
            self.holding = inner.holding

        async def send(self, digests: Any) -> None:
            raise StorageFull("no room")

    async def story() -> ToolResult:
        refs = [await stored_picture(make("a"), "red")]
        return await LocalRunner(pool, Full(make("b"))).submit(compose(refs))

    result = run(story())
    assert (result.status, result.error_code, result.retryable) == ("failed", "storage_full", True)


def test_a_missing_input_is_a_failure_for_good(make: Make, run: Any, pool: Pool):
    missing = {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 5}
    result = run(LocalRunner(pool, make("b")).submit(compose([missing])))
    assert (result.status, result.error_code, result.retryable) == ("failed", "not_found", False)


def test_an_input_that_another_process_evicts_at_the_last_moment_is_fetched_again(
    make: Make, run: Any, pool: Pool, tmp_path: Path
):
    class Robbed:
        """A spool whose first copies are gone as soon as they are here."""

        def __init__(self, inner: S3Blobs) -> None:
            self.inner, self.send, self.times = inner, inner.send, 0

        @asynccontextmanager
        async def holding(self, digests: Any) -> AsyncIterator[None]:
            self.times += 1
            async with self.inner.holding(digests):
                if self.times == 1:
                    for digest in digests:
                        BlobFiles(tmp_path / "b").delete(digest)
                yield

    async def story() -> tuple[ToolResult, int]:
        spool = Robbed(make("b"))
        refs = [await stored_picture(make("a"), "red")]
        return await LocalRunner(pool, spool).submit(compose(refs)), spool.times

    result, times = run(story())
    assert (result.status, times) == ("success", 2)

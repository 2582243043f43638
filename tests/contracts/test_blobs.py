"""The guarantees of the ``BlobStore`` port, with two handles on one set of blobs."""

import asyncio
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cauldron.domain.errors import Invalid, NotFound

SHARED = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=25)
HOSTILE = [
    "",
    "a",
    "A" * 64,
    "g" * 64,
    "../" + "a" * 61,
    "a" * 63 + "\n",
    "a" * 62 + "/.",
    "a" * 65,
    "\0" * 64,
]


async def listed(blobs):
    return {digest: size async for digest, size in blobs.list()}


@SHARED
@given(data=st.binary(max_size=5000))
def test_what_one_handle_puts_the_other_gets(open_blobs, run, data):
    async def story():
        digest = await open_blobs().put(data)
        there = open_blobs()
        assert digest == hashlib.sha256(data).hexdigest()
        assert await there.get(digest) == data
        assert await there.size(digest) == len(data)
        assert (await there.local_path(digest)).read_bytes() == data

    run(story())


def test_the_same_content_is_one_blob_even_when_put_at_once(open_blobs, run):
    async def story():
        here, there = open_blobs(), open_blobs()
        digests = await asyncio.gather(*(blobs.put(b"same" * 1000) for blobs in (here, there) * 10))
        assert len(set(digests)) == 1
        assert await listed(here) == {digests[0]: 4000}

    run(story())


def test_a_file_is_stored_like_its_bytes(open_blobs, run, tmp_path):
    async def story():
        path = tmp_path / "big.bin"
        path.write_bytes(bytes(range(256)) * 12_000)
        digest = await open_blobs().put_file(path)
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert await open_blobs().get(digest) == path.read_bytes()
        assert path.exists()
        with pytest.raises(NotFound):
            await open_blobs().put_file(tmp_path / "absent")
        with pytest.raises(Invalid):
            await open_blobs().put_file(tmp_path)

    run(story())


def test_every_blob_is_listed_once_with_its_size(open_blobs, run):
    async def story():
        here = open_blobs()
        wanted = {await here.put(b"%d" % n * 100): len(b"%d" % n * 100) for n in range(40)}
        assert await listed(open_blobs()) == wanted

    run(story())


def test_a_deleted_blob_is_absent_and_deleting_it_again_is_no_error(open_blobs, run):
    async def story():
        here, there = open_blobs(), open_blobs()
        digest = await here.put(b"x")
        await there.delete(digest)
        await here.delete(digest)
        assert await here.size(digest) is None
        assert await listed(here) == {}
        for asking in (here.get, here.local_path):
            with pytest.raises(NotFound):
                await asking(digest)

    run(story())


@pytest.mark.parametrize("digest", HOSTILE, ids=repr)
def test_a_digest_that_is_none_is_refused(open_blobs, run, digest):
    async def story():
        here = open_blobs()
        for asking in (here.get, here.local_path, here.size, here.delete):
            with pytest.raises(Invalid):
                await asking(digest)

    run(story())

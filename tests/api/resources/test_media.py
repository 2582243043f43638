"""Uploads, raw media and thumbnails: what is kept, who may read it, in which parts."""

import asyncio
import io
import struct
import zlib
from email import message_from_bytes
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from cauldron.api.ranges import MAX_RANGES, parse_ranges
from tests import s3server
from tests.api.resources.desk import Desk, Desks, png
from tests.api.resources.desk import desk as desk_of


def picture(kind: str, *, frames: int = 1, **options: Any) -> bytes:
    held = io.BytesIO()
    pages = [Image.new("RGB", (40, 30), (60 * n % 256, n // 4, 90)) for n in range(frames)]
    if frames > 1:
        options |= {"save_all": True, "append_images": pages[1:], "duration": 70, "loop": 3}
    pages[0].save(held, kind, **options)
    return held.getvalue()


async def upload(desk: Desk, *contents: bytes, name: str = "x.png") -> httpx2.Response:
    files = [("file", (name, each, "application/octet-stream")) for each in contents]
    return await desk.client.post("/api/v1/uploads", files=files)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that declares many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_picture_comes_back_upright_and_with_nothing_but_its_pixels(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "SECRET-CANARY"
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "SECRET-CANARY")
        answer = await upload(
            desk, picture("JPEG", exif=exif), picture("PNG", pnginfo=info), name="../../evil.svg"
        )
        assert answer.status_code == 201, answer.text
        turned, plain = (item["ref"] for item in answer.json()["items"])
        assert (turned["width"], turned["height"], turned["mime"]) == (30, 40, "image/jpeg")
        assert (plain["width"], plain["height"], plain["mime"]) == (40, 30, "image/png")
        for ref in (turned, plain):
            assert "name" not in ref
            kept = await desk.client.get(f"/api/v1/media/{ref['media'][7:]}")
            assert b"CANARY" not in kept.content
            assert len(kept.content) == ref["sizeBytes"]
        listed = (await desk.client.get("/api/v1/uploads")).json()
        assert [i["ref"]["media"] for i in listed["items"]] == [plain["media"], turned["media"]] or len(
            listed["items"]
        ) == 2

    run(story())


def test_comments_and_profiles_do_not_survive(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        profile = b"SECRET-CANARY" + ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        answer = await upload(
            desk,
            picture("GIF", comment=b"SECRET-CANARY"),
            picture("GIF", frames=3, comment=b"SECRET-CANARY"),
            picture("PNG", icc_profile=profile),
            picture("WEBP", icc_profile=profile, xmp=b"SECRET-CANARY"),
        )
        assert answer.status_code == 201, answer.text
        for item in answer.json()["items"]:
            kept = await desk.client.get(f"/api/v1/media/{item['ref']['media'][7:]}")
            assert b"CANARY" not in kept.content

    run(story())


@pytest.mark.parametrize(
    ("kind", "mime"), [("GIF", "image/gif"), ("WEBP", "image/webp"), ("PNG", "image/apng")]
)
def test_an_animation_keeps_its_frames_and_their_durations(kind: str, mime: str, desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        answer = await upload(desk, picture(kind, frames=4))
        item = answer.json()["items"][0]
        assert (item["frames"], item["ref"]["mime"]) == (4, mime)
        kept = await desk.client.get(f"/api/v1/media/{item['ref']['media'][7:]}")
        with Image.open(io.BytesIO(kept.content)) as image:
            assert image.n_frames == 4
            image.load()
            assert image.info["duration"] == pytest.approx(70, abs=10)

    run(story())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"<html><script>1</script>", "not_an_image"),
        (b"", "empty_file"),
        (png()[:60], "damaged_image"),
        (picture("JPEG")[:300], "damaged_image"),
        (bomb(8_000, 8_000), "too_many_pixels"),
        (bomb(12_000, 12_000), "too_many_pixels"),
        (bomb(30_000, 30_000), "too_many_pixels"),
        (picture("GIF", frames=501), "too_many_frames"),
    ],
    ids=["svg", "html", "empty", "cut png", "cut jpeg", "64 Mpx", "144 Mpx", "900 Mpx", "frames"],
)  # fmt: skip
def test_what_is_no_picture_or_too_large_is_refused_and_named(
    content: bytes, code: str, desks: Desks, run: Any
):
    async def story() -> None:
        desk = await desks.open()
        answer = await upload(desk, png(), content)
        assert answer.status_code == 422, answer.text
        problem = answer.json()["problems"][0]
        assert (problem["path"], problem["code"]) == ("file[1]", code)

    run(story())


def test_a_form_of_another_shape_is_refused(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        client = desk.client
        other = await client.post("/api/v1/uploads", files=[("picture", ("x.png", png()))])
        field = await client.post("/api/v1/uploads", data={"file": "text"}, files=[("file", ("x", png()))])
        many = await upload(desk, *[png(size=2)] * 21)
        plain = await client.post("/api/v1/uploads", content=png(), headers={"content-type": "image/png"})
        assert {other.status_code, field.status_code, many.status_code} <= {400, 422}
        assert plain.status_code == 415
        assert await desk.studio.store.find("uploads", {"owner": "local"}, order=("-createdAt",)) == []

    run(story())


def test_only_what_the_own_records_lead_to_can_be_read(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        ref = (await upload(ann, png("teal"))).json()["items"][0]["ref"]
        shown, stray = await ann.picture("plum"), await ann.picture("gray")
        cook = await ann.made(2, output=shown)
        digests = {name: r["media"][7:] for name, r in (("up", ref), ("piece", shown), ("stray", stray))}

        async def status(desk: Desk, name: str, more: str = "") -> int:
            return (await desk.client.get(f"/api/v1/media/{digests[name]}{more}")).status_code

        assert [await status(ann, n) for n in digests] == [200, 200, 404]
        assert [await status(bob, n) for n in digests] == [404, 404, 404]
        assert [await status(bob, n, "/thumbnail") for n in digests] == [404, 404, 404]
        output = f"/api/v1/outputs/{cook}.1.1.0"
        assert (await ann.client.get(f"{output}/media/made")).status_code == 200
        assert (await ann.client.get(f"{output}/media/other")).status_code == 404
        for path in (output, f"{output}/media/made"):
            assert (await bob.client.get(path)).status_code == 404
        await bob.made(1, output=shown)  # the same content, made by bob as well
        assert [await status(bob, n) for n in digests] == [404, 200, 404]
        assert (await ann.client.get("/api/v1/media/..%2f..%2fetc")).status_code == 404
        assert (await ann.client.get(f"/api/v1/media/{digests['up'].upper()}")).status_code == 404

    run(story())


def test_media_are_typed_cached_and_never_run(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        image = await desk.picture()
        vector = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
        digest = await desk.studio.blobs.put(vector)
        svg = {"media": f"sha256:{digest}", "mime": "image/svg+xml", "sizeBytes": len(vector)}
        await desk.made(1, output=image)
        other = await desk.cook(1, slug="vector")
        await desk.end(other, [1], output=svg)
        answer = await desk.client.get(f"/api/v1/media/{image['media'][7:]}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"].startswith("inline")
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        answer = await desk.client.get(f"/api/v1/media/{digest}")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
        thumbnail = await desk.client.get(f"/api/v1/media/{digest}/thumbnail")
        assert thumbnail.status_code == 409

    run(story())


def test_parts_are_what_was_asked_for(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        ref = await desk.picture(size=200)
        await desk.made(1, output=ref)
        path, size = f"/api/v1/media/{ref['media'][7:]}", ref["sizeBytes"]
        whole = await desk.client.get(path)
        data, tag = whole.content, whole.headers["etag"]

        async def get(**headers: str) -> httpx2.Response:
            return await desk.client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

        part = await get(range="bytes=10-19")
        assert (part.status_code, part.content) == (206, data[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{size}"
        assert (await get(range="bytes=-5")).content == data[-5:]
        assert (await get(range=f"bytes={size - 3}-")).content == data[-3:]
        beyond = await get(range=f"bytes={size}-")
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        assert beyond.headers["content-type"] == "application/problem+json"
        for ignored in ("bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=", "bytes=" + ",".join(["0-0"] * 9)):
            assert (await get(range=ignored)).status_code == 200, ignored
        assert (await get(range="bytes=0-4", if_range=tag)).status_code == 206
        assert (await get(range="bytes=0-4", if_range='"old"')).status_code == 200
        assert (await get(if_none_match=f'"x", {tag}')).status_code == 304
        head = await desk.client.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(size))
        several = await get(range="bytes=0-3,100-109,2-5")
        assert int(several.headers["content-length"]) == len(several.content)
        mime = b"Content-Type: " + several.headers["content-type"].encode() + b"\r\n\r\n" + several.content
        parts = [p.get_payload(decode=True) for p in message_from_bytes(mime).get_payload()]
        assert parts == [data[0:6], data[100:110]]

    run(story())


def test_a_thumbnail_is_small_made_once_and_made_again_when_it_is_gone(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        ref = (await upload(desk, png("teal", 400))).json()["items"][0]["ref"]
        path = f"/api/v1/media/{ref['media'][7:]}/thumbnail"
        first = await desk.client.get(f"{path}?edge=128")
        assert (first.status_code, first.headers["content-type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(first.content)) as image:
            assert image.size == (128, 128)
        [row] = await desk.studio.store.find("thumbnails", {})
        blobs = {digest async for digest, _ in desk.studio.blobs.list()}
        made = (blobs - {ref["media"][7:]}).pop()
        await desk.studio.blobs.delete(made)
        again = await desk.client.get(f"{path}?edge=128")
        assert again.content == first.content
        assert [d["_id"] for d in await desk.studio.store.find("thumbnails", {})] == [row["_id"]]
        assert (await desk.client.get(f"{path}?edge=100")).status_code == 422

    run(story())


def test_clean_up_takes_thumbnails_and_leaves_uploads(desks: Desks, run: Any):
    from cauldron.bootstrap import TABLES
    from cauldron.services.marking import Sweeping

    async def story() -> None:
        desk = await desks.open()
        ref = (await upload(desk, png("teal", 400))).json()["items"][0]["ref"]
        await desk.client.get(f"/api/v1/media/{ref['media'][7:]}/thumbnail")
        sweeping = Sweeping(desk.studio.store, desk.studio.blobs, [t.name for t in TABLES])
        later = desk.studio.clock() + 3_600_000
        marks = await sweeping.mark(touched_before_ms=later)
        found = [d async for d, _ in sweeping.unreferenced(marks, touched_before_ms=later)]
        assert len(found) == 1
        assert found != [ref["media"][7:]]

    run(story())


def test_outputs_are_listed_by_what_they_belong_to(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        cook = await ann.cook(6)
        await ann.end(cook, [1, 2, 3, 4])
        await ann.end(cook, [5], error="tool_broken")
        await bob.made(2)

        async def listed(query: str) -> list[str]:
            found, cursor = [], ""
            while True:
                answer = await ann.client.get(f"/api/v1/outputs?limit=2&{query}{cursor}")
                assert answer.status_code == 200, answer.text
                found += [each["outputId"] for each in answer.json()["items"]]
                if (after := answer.json()["next"]) is None:
                    return found
                cursor = f"&cursor={after}"

        everything = await listed("")
        assert sorted(everything) == [f"{cook}.{n}.1.0" for n in range(1, 6)]
        assert await listed("status=failed") == [f"{cook}.5.1.0"]
        assert sorted(await listed(f"cookId={cook}&status=success")) == [
            f"{cook}.{n}.1.0" for n in range(1, 5)
        ]
        assert len(await listed("tool=text.card")) == 5
        assert await listed("tool=other") == []
        theirs = (await bob.client.get("/api/v1/outputs")).json()["items"][0]
        assert await listed(f"cookId={theirs['cookId']}") == []
        assert (await ann.client.get(f"/api/v1/outputs/{theirs['outputId']}")).status_code == 404

    run(story())


@given(
    size=st.integers(0, 500), spans=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=9)
)
def test_ranges_say_the_bytes_that_they_name_and_no_others(size: int, spans: list[tuple[int, int]]):
    text = "bytes=" + ",".join(f"{low}-{low + more}" for low, more in spans)
    wanted = {i for low, more in spans for i in range(low, low + more + 1) if i < size}
    found = parse_ranges(text, size)
    if not spans or len(spans) > MAX_RANGES:
        assert found == ()
    elif not wanted:
        assert found is None
    else:
        assert found is not None
        assert {i for low, high in found for i in range(low, high)} == wanted
        assert all(a[1] < b[0] for a, b in pairwise(found))


@given(st.text(max_size=40))
def test_no_range_header_breaks_anything(text: str):
    for each in (text, f"bytes={text}"):
        found = parse_ranges(each, 100)
        assert found is None or all(0 <= low < high <= 100 for low, high in found)


def test_who_hangs_up_stops_the_reading():
    from cauldron.api.ranges import RangedAnswer

    read: list[int] = []

    class Endless:
        size_bytes = 1 << 40

        async def read(self, start: int, end: int) -> Any:
            while True:
                read.append(start)
                await asyncio.sleep(0)
                yield b"x" * 1024

    async def story() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if len(read) == 50:
                gone.set()

        answer = RangedAnswer(Endless(), etag='"x"', media_type="image/png", headers={})
        scope = {"type": "http", "method": "GET", "headers": []}
        async with asyncio.timeout(5):
            await answer(scope, receive, send)
        assert 50 <= len(read) < 100

    asyncio.run(story())


def test_a_collection_uses_only_media_that_are_the_accounts_own(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        ref = (await upload(ann, png("teal"))).json()["items"][0]["ref"]
        definition = {
            "cauldron": 1,
            "name": "Pictures",
            "slug": "pictures",
            "supply": 1,
            "seed": "s",
            "generator": {"tool": "static.media", "inputs": {"media": [ref]}},
            "categories": [{"name": "Word", "options": [{"name": "a"}]}],
        }
        stolen = await bob.client.post("/api/v1/collections", json={"definition": definition})
        assert stolen.status_code == 422
        assert stolen.json()["problems"][0]["code"] == "media_missing"
        checked = await bob.client.post("/api/v1/collections/validate", json={"definition": definition})
        assert not checked.json()["ok"]
        kept = await ann.client.post("/api/v1/collections", json={"definition": definition})
        assert kept.status_code == 201, kept.text
        image = await ann.picture("navy")  # stored by a command line, named by what it saved
        definition["generator"]["inputs"]["media"] = [image]
        saved = await ann.studio.collecting.save(definition, caller=ann.studio.caller)
        assert (await ann.client.get(f"/api/v1/media/{image['media'][7:]}")).status_code == 200
        edited = await ann.client.get(f"/api/v1/collections/{saved['_id']}")
        again = await ann.client.put(
            f"/api/v1/collections/{saved['_id']}",
            json={"definition": definition | {"name": "Renamed"}},
            headers={"If-Match": edited.headers["etag"]},
        )
        assert again.status_code == 200, again.text

    run(story())


def test_media_in_s3_are_handed_out_like_those_on_disk(home: Path, run: Any, monkeypatch: pytest.MonkeyPatch):
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    async def story() -> None:
        async with desk_of(home, "", blobs_url=s3server.shared().url()) as desk:
            ref = (await upload(desk, png("teal", 300))).json()["items"][0]["ref"]
            path = f"/api/v1/media/{ref['media'][7:]}"
            whole = await desk.client.get(path)
            part = await desk.client.get(path, headers={"Range": "bytes=5-9"})
            assert (part.status_code, part.content) == (206, whole.content[5:10])
            small = await desk.client.get(f"{path}/thumbnail?edge=64")
            assert small.headers["content-type"] == "image/webp"

    run(story())

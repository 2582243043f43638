"""``anim.loop``: frames, or one picture in motion, as a looping GIF, WebP or APNG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from cauldron.adapters.local import gif, palettes
from cauldron.adapters.local.motion import MOTIONS
from cauldron.adapters.local.pictures import open_frames
from cauldron.adapters.local.refusals import refusal
from cauldron.ports.tools import Media, Produced

PATH = "anim.loop.frames"
MAX_FRAMES = 240
MAX_PIXELS = 128_000_000  # of all frames together
MIME = {"gif": "image/gif", "webp": "image/webp", "apng": "image/apng"}


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The animation as the output ``image``.

    Raises:
        InvalidMany: no frame, frames of different sizes, too many or unusable ones.
    """
    frames = _moved(_frames(inputs, media), inputs)
    if inputs["boomerang"]:
        frames += frames[-2:0:-1]
    _bounded(len(frames), frames[0].size)
    if inputs.get("background"):
        ground = Image.new("RGBA", frames[0].size, palettes.parse(inputs["background"]))
        frames = [Image.alpha_composite(ground, frame) for frame in frames]
    data = ENCODERS[inputs["format"]](frames, inputs)
    width, height = frames[0].size
    mime = MIME[inputs["format"]]
    return [Produced(port="image", data=data, mime=mime, width=width, height=height)]


def _frames(inputs: Mapping[str, Any], media: Media) -> list[Image.Image]:
    """All frames at their final size."""
    found: list[Image.Image] = []
    first = (0, 0)
    for index, ref in enumerate(inputs["frames"]):
        if ref is None:
            continue
        path = f"{PATH}[{index}]"
        for image, _ in open_frames(ref, media, path=path, most=MAX_FRAMES - len(found)):
            first = first if found else image.size
            if image.size != first:
                sizes = f"{image.width} × {image.height}, the first {first[0]} × {first[1]}"
                raise refusal(path, "frame_size", f"is {sizes}")
            found.append(_shrunk(image, inputs["max_side"]))
            _bounded(len(found), found[0].size)
    if not found:
        raise refusal(PATH, "no_frames", "has no frame left")
    return found


def _shrunk(image: Image.Image, max_side: int) -> Image.Image:
    if max(image.size) <= max_side:
        return image
    scale = max_side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _bounded(count: int, size: tuple[int, int]) -> None:
    if count > MAX_FRAMES:
        raise refusal(PATH, "too_many_frames", f"gives {count} frames, {MAX_FRAMES} allowed")
    if count * size[0] * size[1] > MAX_PIXELS:
        message = f"gives {count} frames of {size[0]} × {size[1]}, over {MAX_PIXELS:,} pixels"
        raise refusal(PATH, "too_many_pixels", f"{message}; lower max_side or count")


def _moved(frames: list[Image.Image], inputs: Mapping[str, Any]) -> list[Image.Image]:
    if inputs["motion"] == "none":
        return frames
    move, amount = MOTIONS[inputs["motion"]], inputs["amount"]
    count = inputs["count"] if len(frames) == 1 else len(frames)
    _bounded(count, frames[0].size)
    return [move(frames[k % len(frames)], k / count, amount) for k in range(count)]


def _duration_ms(inputs: Mapping[str, Any]) -> int:
    return max(1, round(1000 / float(inputs["fps"])))


def _gif(frames: list[Image.Image], inputs: Mapping[str, Any]) -> bytes:
    return gif.encode(
        frames,
        colors=inputs["colors"],
        dither=inputs["dither"],
        duration_ms=_duration_ms(inputs),
        plays=inputs["loop"],
    )


def _webp(frames: list[Image.Image], inputs: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=_duration_ms(inputs),
        loop=inputs["loop"],
        quality=inputs["quality"],
        lossless=inputs["quality"] == 100,
        method=3,
    )
    return buffer.getvalue()


def _apng(frames: list[Image.Image], inputs: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "PNG",
        save_all=True,
        append_images=frames[1:],
        duration=_duration_ms(inputs),
        loop=inputs["loop"],
        disposal=1,
        blend=0,
    )
    return buffer.getvalue()


ENCODERS = {"gif": _gif, "webp": _webp, "apng": _apng}

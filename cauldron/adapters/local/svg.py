"""``svg.template``: renders an SVG with values; nothing outside the document is ever loaded."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np
import resvg_py
from PIL import Image, ImageFont

from cauldron.adapters.local import output, palettes
from cauldron.adapters.local.fonts import font_bytes, font_file
from cauldron.adapters.local.pictures import check_header, picture_from
from cauldron.adapters.local.refusals import refusal
from cauldron.adapters.local.template import filled
from cauldron.ports.tools import Media, Produced

PATH = "svg.template.template"
MAX_ELEMENTS = 20_000
MAX_DEPTH = 100
MAX_DRAWN = 200_000  # elements after every <use> is followed
OCTAVES = re.compile(r"[0-9]|10")
QUOTES = {'"': "&quot;", "'": "&apos;"}
FORBIDDEN = frozenset({"script", "foreignobject", "iframe", "audio", "video", "handler"})
EMBEDDED = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/=\s]*)")
URL = re.compile(r"url\(\s*['\"]?\s*([^)'\"\s]*)", re.IGNORECASE)


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The drawing as the output ``image``, fitted into width × height and centred.

    Raises:
        InvalidMany: not well-formed XML, no ``svg`` root, a document type or
            entities, references to anything outside, too many elements.
    """
    values = inputs.get("values") or {}
    text = filled(inputs["template"], values, path="svg.template", escape=lambda v: escape(v, QUOTES))
    _Guard().check(text)
    font = font_bytes(inputs.get("font"), media, path="svg.template.font", text=text)
    image = _rendered(text, font, width=inputs["width"], height=inputs["height"])
    background = palettes.parse(inputs["background"]) if inputs.get("background") else (0, 0, 0, 0)
    canvas = Image.new("RGBA", (inputs["width"], inputs["height"]), background)
    left, top = (canvas.width - image.width) // 2, (canvas.height - image.height) // 2
    canvas.alpha_composite(image, (max(0, left), max(0, top)))
    return output.picture(np.asarray(canvas), inputs)


def _rendered(text: str, font: bytes, *, width: int, height: int) -> Image.Image:
    family = ImageFont.truetype(io.BytesIO(font), 16).getname()[0] or "Aileron"
    try:
        data = resvg_py.svg_to_bytes(
            svg_string=text,
            skip_system_fonts=True,
            font_files=[font_file(font)],
            width=width,
            height=height,
            font_family=family,
            serif_family=family,
            sans_serif_family=family,
            monospace_family=family,
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:  # the renderer's own panics are not Exceptions
        raise refusal(PATH, "cannot_render", f"cannot be rendered: {exc!s:.120}") from exc
    image = picture_from(bytes(data), path=PATH)
    image.thumbnail((width, height), Image.Resampling.LANCZOS)
    return image


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError as exc:
        raise refusal(PATH, "damaged_image", "holds an embedded image that is not base64") from exc


class _Guard:
    """Reads the document once and refuses what could reach outside or grow without bound."""

    def __init__(self) -> None:
        self._open: list[str | None] = []  # ids of the open elements
        self._sizes: dict[str, int] = {}  # id -> elements inside, with itself
        self._uses: dict[str, list[str]] = {}  # id -> ids used inside; "" is the document
        self._count = 0

    def check(self, text: str) -> None:
        """Raises InvalidMany for the first thing that is not allowed."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(text.encode("utf-8", "strict"), True)
        except expat.ExpatError as exc:
            raise refusal(PATH, "not_xml", f"is not well-formed XML: {exc}") from exc
        except UnicodeEncodeError as exc:
            raise refusal(PATH, "not_xml", "holds characters that XML cannot") from exc
        if self._drawn("", ()) > MAX_DRAWN:
            raise refusal(PATH, "too_complex", f"draws over {MAX_DRAWN:,} elements by <use>")

    def _doctype(self, *_: Any) -> None:
        raise refusal(PATH, "doctype", "must not have a document type or entities")

    def _instruction(self, target: str, _: str) -> None:
        raise refusal(PATH, "not_allowed", f"must not hold the instruction <?{target:.40}")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._count += 1
        local = name.rpartition(":")[2].lower()
        if self._count == 1 and local != "svg":
            raise refusal(PATH, "not_svg", f"begins with <{name:.40}>, not <svg>")
        if self._count > MAX_ELEMENTS or len(self._open) > MAX_DEPTH:
            limits = f"{MAX_ELEMENTS:,} elements, {MAX_DEPTH} deep"
            raise refusal(PATH, "too_complex", f"has more than {limits}")
        if local in FORBIDDEN:
            raise refusal(PATH, "not_allowed", f"must not hold <{name:.40}>")
        self._open.append(attributes.get("id"))
        for owner in {"", *(i for i in self._open if i)}:
            self._sizes[owner] = self._sizes.get(owner, 0) + 1
        for key, value in attributes.items():
            self._attribute(local, key.rpartition(":")[2].lower(), value)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _attribute(self, element: str, key: str, value: str) -> None:
        if key == "href":
            self._reference(element, value.strip())
        if key == "numoctaves" and not OCTAVES.fullmatch(value.strip()):
            raise refusal(PATH, "too_complex", "numOctaves must be a whole number up to 10")
        self._addresses(value)

    def _reference(self, element: str, target: str) -> None:
        if target.startswith("#"):
            self._used(target[1:])
        elif element in ("image", "feimage") and (embedded := EMBEDDED.fullmatch(target)):
            check_header(_decoded(embedded[1]), path=PATH)
        elif target and element != "a":
            message = f"refers to {target!r:.60}; only #ids and embedded images are allowed"
            raise refusal(PATH, "outside_reference", message)

    def _used(self, name: str) -> None:
        for owner in {"", *(i for i in self._open if i)}:
            self._uses.setdefault(owner, []).append(name)

    def _characters(self, text: str) -> None:
        if "@import" in text.lower():
            raise refusal(PATH, "outside_reference", "must not import style sheets")
        self._addresses(text)

    def _addresses(self, text: str) -> None:
        for match in URL.finditer(text):
            if not match[1].startswith("#"):
                message = f"refers to {match[1]!r:.60}; only #ids are allowed"
                raise refusal(PATH, "outside_reference", message)
            self._used(match[1][1:])

    def _drawn(self, owner: str, within: tuple[str, ...]) -> int:
        """Elements drawn for ``owner`` once references are followed; stops above the limit."""
        if len(within) > MAX_DEPTH:
            raise refusal(PATH, "too_complex", f"refers over {MAX_DEPTH} levels deep")
        if owner in within:
            raise refusal(PATH, "circular", f"#{owner:.40} refers to itself")
        total = self._sizes.get(owner, 0)
        for used in self._uses.get(owner, ()):
            if used in self._sizes:
                total += self._drawn(used, (*within, owner))
            if total > MAX_DRAWN:
                break
        return total

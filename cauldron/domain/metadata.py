"""Token metadata after ERC-721 and OpenSea, and contract metadata after ERC-7572."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from cauldron.domain.errors import Invalid, InvalidMany, Problem
from cauldron.domain.export import ExportPiece, ExportSpec, media_names
from cauldron.domain.rarity import TraitValue

IMAGE_FOLDER = "images"
DISPLAY_TYPES = ("number", "boost_number", "boost_percentage", "date")
PLAYABLE = ("video/", "audio/", "model/", "text/html")
PROMPT_LABELS = ("Prompt", "Prompt text", "Generation prompt", "Full generation prompt")
LARGEST_INTEGER = 2**53 - 1  # what every JSON reader can hold

_PLACEHOLDER = re.compile(r"\\\[\[|\[\[([^\[\]]+)\]\]|\{\{\s*([^{}]*?)\s*\}\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def fill(
    template: str,
    texts: Mapping[str, str],
    *,
    number: int,
    collection: str,
    escape: Callable[[str], str] = str,
) -> str:
    """Fill ``{{number}}``, ``{{collection}}`` and ``[[Category]]`` in a single pass.

    What comes in is never expanded again; a category the piece has none of
    gives nothing; ``\\[[`` is a literal ``[[``. ``escape`` is applied to what comes in.
    """

    def value(match: re.Match[str]) -> str:
        category, word = match.group(1), match.group(2)
        if category is not None:
            return escape(texts.get(category, texts.get(category.removesuffix(":name"), "")))
        if word is not None:
            return escape(str(number) if word == "number" else collection)
        return "[["

    return _PLACEHOLDER.sub(value, template)


def template_problems(spec: ExportSpec) -> list[Problem]:
    """What is wrong with the name, description and address templates of a collection."""
    options = spec.metadata
    templates = {
        "name": options.name,
        "description": options.description,
        "externalUrl": options.external_url,
    }
    problems = []
    for key, template in templates.items():
        for match in _PLACEHOLDER.finditer(template):
            if (text := _unknown(match, spec.categories)) is not None:
                message = f"{text} names nothing; use {{{{number}}}}, {{{{collection}}}} or a category"
                problems.append(Problem(path=f"metadata.{key}", code="unknown_placeholder", message=message))
    for key, address in (("externalUrl", options.external_url), ("baseUri", options.base_uri)):
        if address and not _SCHEME.match(address):
            message = f"{address[:80]!r} must start with a scheme such as https: or ipfs:"
            problems.append(Problem(path=f"metadata.{key}", code="address_without_scheme", message=message))
    return problems


def _unknown(match: re.Match[str], categories: tuple[str, ...]) -> str | None:
    category, word = match.group(1), match.group(2)
    if word is not None and word not in ("number", "collection"):
        return match.group(0)
    if category is not None and categories and not category.startswith("$"):
        return None if category.removesuffix(":name") in categories else match.group(0)
    return None


def address(spec: ExportSpec, file_name: str) -> str:
    """Where an image is found: under ``baseUri``, or inside the export itself without one."""
    base = spec.metadata.base_uri
    if not base:
        return f"{IMAGE_FOLDER}/{file_name}"
    return f"{base}{file_name}" if base.endswith(("/", "=")) else f"{base}/{file_name}"


def prompt_label(pieces: Sequence[ExportPiece]) -> str:
    """The trait name of the prompt: the first candidate that no piece uses as a trait."""
    taken = {label.strip().lower() for piece in pieces for label in piece.traits}
    for label in PROMPT_LABELS:
        if label.lower() not in taken:
            return label
    raise Invalid("every name for the prompt attribute is a trait already; set metadata.prompt to false")


def attribute(label: str, value: TraitValue, display_type: str | None) -> dict[str, Any]:
    """One entry of ``attributes``; with a display type the value becomes a number.

    Raises:
        InvalidMany: the value cannot be told in JSON or is no number where one is due.
    """
    if isinstance(value, bool):
        value = "true" if value else "false"
    if display_type is None:
        return {"trait_type": checked_text(label, label), "value": _plain(label, value)}
    if display_type not in DISPLAY_TYPES:
        raise _bad(label, "unknown_display_type", f"display type {display_type!r} is none of {DISPLAY_TYPES}")
    number = _plain(label, _number(label, value))
    return {"trait_type": checked_text(label, label), "value": number, "display_type": display_type}


def _plain(label: str, value: TraitValue) -> TraitValue:
    if isinstance(value, str):
        return checked_text(value, label)
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
        raise _bad(label, "number_out_of_range", f"{value!r} is not a number that JSON can carry")
    return value


def _number(label: str, value: TraitValue) -> int | float:
    if not isinstance(value, str):
        return value
    try:
        return int(value) if re.fullmatch(r"\s*[-+]?\d{1,30}\s*", value) else float(value)
    except ValueError:
        raise _bad(label, "not_a_number", f"{value[:80]!r} is not a number") from None


def checked_text(text: str, label: str) -> str:
    """``text`` itself when it can be written as UTF-8, else InvalidMany naming ``label``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _bad(ascii(label)[1:-1], "not_unicode", "holds half of a surrogate pair") from None
    return text


def _bad(label: str, code: str, message: str) -> InvalidMany:
    return InvalidMany([Problem(path=f"traits[{label}]", code=code, message=message)])


AttributeCache: TypeAlias = dict[tuple[str, type, TraitValue, str | None], dict[str, Any]]


def attributes_of(piece: ExportPiece, *, made: AttributeCache | None = None) -> list[dict[str, Any]]:
    """A piece's traits as attributes, each once, in order, without empty ones.

    ``made`` keeps the documents of earlier pieces, so that each distinct one is
    made and checked once; they are shared and must not be changed.

    Raises:
        InvalidMany: as :func:`attribute`.
    """
    made = {} if made is None else made
    found = []
    for label, value in piece.traits.items():
        if value is None or value == "":
            continue
        key = (label, value.__class__, value, piece.display_types.get(label))
        if key not in made:
            made[key] = attribute(label, value, key[3])
        found.append(made[key])
    return found


def token_name(spec: ExportSpec, piece: ExportPiece) -> str:
    """A token's name: its own when it is a one-of-one, else the template's, never empty."""
    named = fill(spec.metadata.name, piece.name_extra, number=piece.token, collection=spec.name)
    return piece.one_of_one or named.strip() or f"{spec.name} #{piece.token}"


def token_metadata(
    spec: ExportSpec, piece: ExportPiece, *, attributes: Sequence[Mapping[str, Any]], prompt: str | None
) -> dict[str, Any]:
    """The metadata document of one token.

    Args:
        spec: the export.
        piece: a piece with its token number.
        attributes: its traits, see :func:`attributes_of`.
        prompt: the name of the prompt attribute, None to leave the prompt out.
    """
    options, texts = spec.metadata, piece.name_extra
    document: dict[str, Any] = {
        "name": token_name(spec, piece),
        "description": fill(
            options.description or spec.description, texts, number=piece.token, collection=spec.name
        ),
        "image": "",
    }
    _add_media(document, spec, piece)
    if options.external_url:
        document["external_url"] = fill(
            options.external_url, texts, number=piece.token, collection=spec.name, escape=_url_part
        )
    document["attributes"] = list(attributes)
    if prompt is not None and piece.prompt:
        document["attributes"].append({"trait_type": prompt, "value": piece.prompt})
    return document


def _add_media(document: dict[str, Any], spec: ExportSpec, piece: ExportPiece) -> None:
    files = [
        {"uri": address(spec, name), "type": ref["mime"]}
        for name, ref in zip(media_names(piece), piece.media, strict=True)
    ]
    document["image"] = files[0]["uri"]
    playable = [file["uri"] for file in files if file["type"].startswith(PLAYABLE)]
    if playable:
        document["animation_url"] = playable[0]
    if len(files) > 1:
        document["properties"] = {"files": files}


def _url_part(text: str) -> str:
    return quote(text, safe="")


def contract_metadata(spec: ExportSpec, *, image: str | None) -> dict[str, Any]:
    """The collection's own document (ERC-7572, ``contractURI``)."""
    document: dict[str, Any] = {"name": spec.name}
    if spec.metadata.symbol:
        document["symbol"] = spec.metadata.symbol
    document["description"] = spec.description
    if image is not None:
        document["image"] = image
    link = spec.metadata.external_url
    if link and not _PLACEHOLDER.search(link):
        document["external_link"] = link
    return document

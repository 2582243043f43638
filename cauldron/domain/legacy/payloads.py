"""What an execution gave, out of a dozen shapes of ``responsePayload``.

Nothing is fetched: a picture stays the address it was, marked ``remote``.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_DEPTH = 12
MAX_ARTIFACTS = 1000
ADDRESS = re.compile(r"(?:https?|ipfs|ar|s3|gs|data|blob):\S+", re.IGNORECASE)
KINDS: Mapping[str, str] = {
    "image": "image", "images": "image", "imageurl": "image", "image_url": "image",
    "video": "video", "videos": "video", "videourl": "video", "video_url": "video",
    "gif": "image", "gifs": "image",
    "audio": "audio", "audios": "audio", "audiourl": "audio",
    "file": "file", "files": "file", "artifacturls": "file", "fileurl": "file", "model": "file",
    "text": "text", "string": "text", "result": "", "response": "", "description": "text", "caption": "text",
    "outputs": "", "output": "", "data": "", "spell": "", "results": "", "artifacts": "file",
}  # fmt: skip
ASIDE = frozenset({
    "type", "node_meta", "name", "filename", "mimetype", "mime", "format", "status", "id", "url", "path",
    "size", "width", "height", "key", "subfolder", "seed", "duration",
})  # fmt: skip
MIMES: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "avif": "image/avif", "svg": "image/svg+xml", "mp4": "video/mp4", "webm": "video/webm",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg", "glb": "model/gltf-binary",
    "txt": "text/plain",
    "json": "application/json", "zip": "application/zip",
}  # fmt: skip


class Artifact(NamedTuple):
    """One result: text, a number, or an object with the ``url`` of a file."""

    kind: str  # image | video | audio | file | text | value
    value: Any


class Read(NamedTuple):
    """The results in order; ``whole`` is False when part of the payload says nothing to us."""

    artifacts: list[Artifact]
    whole: bool


def read_payload(payload: Any) -> Read:
    """Every result in ``payload``, in order. Never raises."""
    found: list[Artifact] = []
    whole = _take(payload, "", found, 0)
    return Read(found[:MAX_ARTIFACTS], whole and len(found) <= MAX_ARTIFACTS)


def outputs_of(artifacts: list[Artifact]) -> dict[str, Any]:
    """Results under names: ``image``, ``image2``, ``text`` …"""
    named: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for kind, value in artifacts:
        number = counts[kind] = counts.get(kind, 0) + 1
        named[kind if number == 1 else f"{kind}{number}"] = value
    return named


def _take(value: Any, kind: str, found: list[Artifact], depth: int) -> bool:
    """Add what ``value`` holds; False when something in it was not understood."""
    if value is None:
        return True
    if isinstance(value, str):
        return _take_text(value, kind, found)
    if depth > MAX_DEPTH or len(found) > MAX_ARTIFACTS:
        return False
    if isinstance(value, dict):
        return _take_object(value, kind, found, depth)
    if isinstance(value, list):
        whole = True
        for item in value:
            whole &= _take(item, kind, found, depth + 1)
        return whole
    found.append(Artifact("value", value))
    return True


def _take_text(text: str, kind: str, found: list[Artifact]) -> bool:
    if kind != "text" and ADDRESS.fullmatch(text):
        found.append(_file({"url": text}, kind))
    elif text:
        found.append(Artifact("text", text))
    return True


def _take_object(value: dict[str, Any], kind: str, found: list[Artifact], depth: int) -> bool:
    hint = value.get("type")
    if isinstance(hint, str):
        kind = KINDS.get(hint.lower(), "") or kind
    if isinstance(value.get("url"), str):
        found.append(_file(value, kind))
        return True
    understood, known = True, False
    for key, item in value.items():
        low = key.lower()
        inner = KINDS.get(low)
        if inner is not None:
            known = True
            understood &= _take(item, inner or kind, found, depth + 1)
        elif key.isdigit():
            known = True
            understood &= _take(item, kind, found, depth + 1)
        elif low not in ASIDE and item is not None:
            understood = False
    return understood and (known or not value)


def _file(value: dict[str, Any], kind: str) -> Artifact:
    url = value["url"]
    if url.startswith("data:"):
        mime: str | None = url[5:60].partition(",")[0].partition(";")[0] or None
    else:
        mime = MIMES.get(_extension(url))
    if not kind or kind in ("file", "text"):
        kind = mime.split("/")[0] if mime and mime.split("/")[0] in ("image", "video", "audio") else "file"
    body: dict[str, Any] = {"url": url, "asset": "remote"}
    if mime:
        body["mime"] = mime
    name = value.get("filename") or value.get("name")
    if isinstance(name, str) and name:
        body["name"] = name[:200]
    return Artifact(kind, body)


def _extension(url: str) -> str:
    """The extension of an address's path, in lower case."""
    if "?" in url or "#" in url:
        url = url.partition("?")[0].partition("#")[0]
    head, dot, tail = url.rpartition(".")
    return tail.lower() if dot and len(tail) < 6 and "/" not in tail and "/" in head else ""

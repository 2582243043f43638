"""References to stored media, as they appear inside inputs, outputs and records."""

from typing import Any, NotRequired, TypedDict, TypeGuard


class MediaRef(TypedDict):
    """A stored file: ``media`` names its content, the rest describes it."""

    media: str  # "sha256:<64 hex digits>"
    mime: str  # "image/png"
    sizeBytes: int
    width: NotRequired[int]  # pixels
    height: NotRequired[int]  # pixels
    name: NotRequired[str]  # the file name it came with; never part of a content hash


def is_media(value: Any) -> TypeGuard[MediaRef]:
    """Whether ``value`` is a media reference (a mapping with a ``media`` key)."""
    return isinstance(value, dict) and isinstance(value.get("media"), str)


def digest_of(ref: MediaRef | str) -> str:
    """The 64 hex digits of a reference or of its ``sha256:…`` text."""
    text = ref if isinstance(ref, str) else ref["media"]
    return text.removeprefix("sha256:")

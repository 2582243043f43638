"""Paths that a document names: only what lies in the document's own folder, links followed."""

import re
from pathlib import Path

from cauldron.adapters.media_files.headers import MediaProblem

MAX_PATH_CHARS = 1_000
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_DIGITS = re.compile(r"(\d{1,18})")


def safe_path(base: Path, text: str, *, folder: bool = False) -> Path:
    """The real path of ``text`` below ``base``, links followed.

    Args:
        base: a resolved folder.
        text: a relative path with forward slashes, from a document.
        folder: whether a folder is wanted rather than a regular file.

    Raises:
        MediaProblem: it is absolute, leaves ``base`` (by ``..`` or a link), has
            characters or names no portable path may have, or there is no such file.
    """
    shown = f"{text!r:.120}"
    parts = text.split("/")
    if not text or len(text) > MAX_PATH_CHARS or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise MediaProblem("bad_path", f"{shown} is no usable path")
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:", text) or "\\" in text:
        raise MediaProblem("bad_path", f"{shown} must be relative to the document, with forward slashes")
    if ".." in parts:
        raise MediaProblem("outside", f"{shown} leaves the document's folder")
    if any(_RESERVED.fullmatch(part) for part in parts):
        raise MediaProblem("bad_path", f"{shown} has a name that some systems reserve for devices")
    try:
        real = (base / text).resolve()
        if not real.is_relative_to(base):
            raise MediaProblem("outside", f"{shown} is a link to outside of the document's folder")
        if not real.exists():
            raise MediaProblem("no_file", f"there is no {'folder' if folder else 'file'} {shown}")
        if not (real.is_dir() if folder else real.is_file()):
            raise MediaProblem("not_a_file", f"{shown} is no {'folder' if folder else 'regular file'}")
    except RuntimeError as exc:  # what resolve() raises before Python 3.13
        raise MediaProblem("unreadable", f"{shown} is a link that leads back to itself") from exc
    except (OSError, ValueError) as exc:
        raise MediaProblem("unreadable", f"{shown} cannot be read: {type(exc).__name__}") from exc
    return real


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ``photo 10`` after ``photo 9``."""
    parts = [part for part in _DIGITS.split(text.casefold()) if part]
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts] + [(2, 0, text)]

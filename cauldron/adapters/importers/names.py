"""Names made from file and folder names: cleaned, told apart, sorted the way people count."""

import re
import unicodedata
from collections.abc import Iterable

MAX_NAME_CHARS = 80
_NUMBERED = re.compile(r"^\d+\s*[-_. )]+\s*(?=\S)")
_NOT_IN_CATEGORY = re.compile(r"[\[\]:$]")


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key that puts ``layer 10`` after ``layer 9``."""
    parts = re.split(r"(\d{1,18})", unicodedata.normalize("NFC", text).casefold())
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return [*key, (2, 0, text)]


def clean(text: str, *, otherwise: str = "unnamed") -> str:
    """``text`` as a name: no control characters or slashes, single spaces, at most 80 characters."""
    kept = "".join(" " if _unprintable(c) or c in "/\\" else c for c in unicodedata.normalize("NFC", text))
    return " ".join(kept.split())[:MAX_NAME_CHARS].strip() or otherwise


def category_name(text: str) -> str:
    """``text`` as a category's name, which a placeholder ``[[…]]`` must be able to hold."""
    return clean(_NOT_IN_CATEGORY.sub(" ", text), otherwise="Layer")


def without_number(text: str) -> str:
    """``text`` without the leading number that gave its order: ``01_Sky`` is ``Sky``."""
    return _NUMBERED.sub("", text)


def slug(text: str) -> str:
    """``text`` as an id of a–z, 0–9 and -, at most 60 characters; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")


class Distinct:
    """Hands out each name once: ``Red``, then ``Red 2``."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, name: str) -> str:
        """``name``, or the first of ``name 2``, ``name 3`` … that is free."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name[: MAX_NAME_CHARS - 8]} {number}"
        self._taken.add(found)
        return found


def _unprintable(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

"""Static files under names that change with their content, so that browsers keep them for good."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file: its content, type, and the name it is served under."""

    name: str  # "spell-execute.0123456789ab.js"
    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file of ``static``, by the name it is served under."""
    return {asset.name: asset for asset in _named().values()}


@cache
def _named() -> Mapping[str, Asset]:
    found = {}
    for file in resources.files("cauldron.web").joinpath("static").iterdir():
        stem, _, kind = file.name.rpartition(".")
        if kind in TYPES:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            found[file.name] = Asset(name=f"{stem}.{digest}.{kind}", content=content, media_type=TYPES[kind])
    return found


def address_of(file: str) -> str:
    """The path below the site's root of a file of ``static``. Raises KeyError: there is none."""
    return f"/static/{_named()[file].name}"

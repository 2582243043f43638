"""JSON documents as MongoDB keeps them: keys, paths, checks, and the engine's own fields.

Documents are stored as they are, so that operators can query them. Keys that
MongoDB cannot keep or would misread are escaped: a leading ``$`` as ``%24``, NUL as
``%00``, and at the top our own names as ``%5Ft``; a ``%`` that would read as one of
these becomes ``%25``. Own fields: ``_v`` version, ``_t`` token of the last write,
``_g`` token of the last write shared with others, ``_ts`` instant of insertion (feeds),
``_e`` some key is escaped.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import bson
import orjson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Doc

MAX_DOC_BYTES = 16 * 1024 * 1024 - 1024  # MongoDB's bound, less room for our fields
MAX_DEPTH = 170  # MongoDB's is 180
OWN = ("_t", "_g", "_ts", "_e")

_ENCODE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_BAD_IN_SEGMENT = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_TO_ESCAPE = re.compile(r"%(?=00|24|25|5F)|\x00|\A\$")
_ESCAPED = re.compile(r"%(00|24|25|5F)")
_ESCAPES = {"%": "%25", "\0": "%00", "$": "%24"}
_PLAIN = {"00": "\0", "24": "$", "25": "%", "5F": "_"}


def _stored_key(key: str, *, top: bool) -> str:
    if top and key in OWN:
        return "%5F" + key[1:]
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found.group()], key)


@lru_cache(maxsize=8192)
def _escape(key: str, top: bool) -> str | None:
    """The stored form of a key where it differs. Raises Invalid for what is no JSON key."""
    if not isinstance(key, str):
        raise Invalid(f"a key must be a text, not {key!r}", key=repr(key))
    try:
        key.encode()
    except UnicodeEncodeError as exc:
        raise Invalid(f"a key is not valid Unicode: {key!r}", key=repr(key)) from exc
    stored = _stored_key(key, top=top)
    return None if stored == key else stored


@lru_cache(maxsize=4096)
def stored_path(path: str) -> str:
    """The dotted path under which a field is stored. Raises Invalid."""
    segments = path.split(".")
    if any(not part or _BAD_IN_SEGMENT.search(part) for part in segments):
        raise Invalid(f"{path!r} is not a field path", path=path)
    return ".".join(_stored_key(part, top=not at) for at, part in enumerate(segments))


def scalar(value: Any, *, where: str) -> Any:
    """``value`` when filters can compare it: text, 64-bit integer, finite float, bool or null."""
    if not isinstance(value, str | int | float | bool | None):
        raise Invalid(f"{where}: cannot compare with a {type(value).__name__}", path=where)
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid(f"{where}: an indexed text cannot hold NUL", path=where)
        return _text(value, where)
    return _number(value, where) if value is not None else None


def _text(value: str, where: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise Invalid(f"{where}: not valid Unicode", path=where) from exc
    return value


def _number(value: Any, where: str) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid(f"{where}: {value} is not a JSON number", path=where)
    elif not -(2**63) <= value < 2**63:
        raise Invalid(f"{where}: integers have 64 bits", path=where)
    return value


@dataclass(slots=True)
class Checked:
    """One pass over a value in Python: what it found."""

    where: str
    escaped: bool = False
    nul: bool = False

    def value(self, value: Any, depth: int = 0) -> Any:
        """The value as it is stored. Raises Invalid for what is not JSON."""
        kind = type(value)
        if kind is str:
            return self._str(value)
        if kind is bool or value is None:
            return value
        if kind is int or kind is float:
            return _number(value, self.where)
        if depth > MAX_DEPTH:
            raise Invalid(f"{self.where}: nested deeper than {MAX_DEPTH} levels", path=self.where)
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        return self._other(value)

    def _str(self, value: str) -> str:
        if "\0" in value:
            self.nul = True
        return value if value.isascii() else _text(value, self.where)

    def _other(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return self.value(value.value)
        for kind in (str, int, float):
            if isinstance(value, kind):
                return self.value(kind(value))
        raise Invalid(f"{self.where}: a {type(value).__name__} is not JSON", path=self.where)

    def mapping(self, value: Mapping[str, Any], depth: int = 0) -> Doc:
        """An object with its keys as they are stored, at the top of a document or below."""
        made: Doc = {}
        for key, item in value.items():
            stored = _escape(key, not depth)
            if stored is not None:
                self.escaped = True
                key = stored  # noqa: PLW2901 - the name under which it is kept
            made[key] = self.value(item, depth + 1)
        return made


def _is_plain(value: Any, where: str) -> bool:
    """Is it JSON without anything to escape, refuse or look into? Raises Invalid when no JSON at all."""
    try:
        data = orjson.dumps(value, option=_ENCODE)
    except (orjson.JSONEncodeError, RecursionError) as exc:
        raise Invalid(f"{where}: {exc}", path=where) from exc
    if b'"$' in data or b"%" in data or b"\\u0000" in data:
        return False
    if b"null" in data and _nulls(value) != data.count(b"null"):
        return False  # NaN is written so too
    return data.count(b"{") + data.count(b"[") < MAX_DEPTH


def _nulls(value: Any) -> int:
    """Nulls in plain sight."""
    return list(value.values()).count(None) if isinstance(value, dict) else 0


def _raw(value: Any, where: str) -> RawBSONDocument:
    """A mapping, encoded. Raises Invalid."""
    try:
        data = bson.encode(value)
    except (BSONError, OverflowError) as exc:
        raise Invalid(f"{where}: {exc}", path=where) from exc
    if len(data) > MAX_DOC_BYTES:
        raise Invalid(f"{where}: {len(data)} bytes, at most {MAX_DOC_BYTES}", path=where)
    return RawBSONDocument(data)


def stored_document(doc: Doc, *, where: str, own: Doc) -> tuple[RawBSONDocument, bool]:
    """A document as it is stored, ``own`` fields at its end; and whether some text in it holds NUL.

    Plain JSON, which is nearly everything, is checked and encoded by two passes in
    C; only what has something special takes the long way.

    Raises:
        Invalid: it is not JSON, nested too deep, or over what MongoDB keeps in one document.
    """
    if "_v" in doc:
        doc = {key: value for key, value in doc.items() if key != "_v"}
    if doc.keys().isdisjoint(OWN) and _is_plain(doc, where):
        return _raw({**doc, **own}, where), False
    checked = Checked(where)
    stored = checked.mapping(doc)
    marked = {"_e": True} if checked.escaped else {}
    return _raw({**stored, **marked, **own}, where), checked.nul


def stored_value(value: Any, *, where: str) -> tuple[Any, Checked]:
    """A field's value as it is stored, and what was found in it. Raises Invalid."""
    checked = Checked(where)
    if isinstance(value, dict) and _is_plain(value, where):
        return _raw(value, where), checked
    stored = checked.value(value, 1)
    if isinstance(stored, dict):
        stored = _raw(stored, where)
    elif isinstance(stored, list):
        _raw({"v": stored}, where)
    return stored, checked


def size_bytes_of(stored: Any) -> int:
    """About how much room a stored value takes in a command."""
    if isinstance(stored, RawBSONDocument):
        return len(stored.raw)
    if isinstance(stored, list):
        return len(bson.encode({"v": stored}))
    return 3 * len(stored) if isinstance(stored, str) else 8


def id_of(value: Any, table: str) -> str:
    """``value`` when it can be an ``_id``. Raises Invalid."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise Invalid(f"{table}: _id must be a text, not {value!r}", table=table)
    return _text(value, f"{table}/_id")


def can_be_id(value: Any) -> bool:
    """Could a document have this ``_id``?"""
    try:
        return bool(id_of(value, ""))
    except Invalid:
        return False


def pick(doc: Any, path: str) -> Any:
    """The value at a dotted path of a plain document, or None."""
    for part in path.split("."):
        doc = doc.get(part) if isinstance(doc, dict) else None
    return doc


def refuse_nul(path: str, value: Any) -> None:
    """Indexed texts hold no NUL, on any engine."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, str) and "\0" in item:
            raise Invalid(f"{path}: an indexed text cannot hold NUL", path=path)


def decode(stored: Doc) -> Doc:
    """A document as callers know it, of plain types, its version as ``_v`` at the end. Changes ``stored``."""
    version = stored.pop("_v")
    stored.pop("_t", None)
    stored.pop("_g", None)
    stored.pop("_ts", None)
    if stored.pop("_e", False):
        stored = _plain(stored)
    doc: Doc = orjson.loads(orjson.dumps(stored))  # the driver's long integers are a type of its own
    doc["_v"] = int(version)
    return doc


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _ESCAPED.sub(lambda found: _PLAIN[found.group(1)], key): _plain(item)
            for key, item in value.items()
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


def position(stored: Doc) -> tuple[Timestamp, str]:
    """Where a stored feed document stands in the order of insertion."""
    return stored["_ts"], stored["_id"]

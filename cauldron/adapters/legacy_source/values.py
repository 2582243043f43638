"""BSON and extended JSON as plain JSON values, the same whichever of them was read.

Object ids become 24 hex digits, dates ISO text with milliseconds, exact decimals
``{"$numberDecimal": text}``, other types their canonical extended JSON.
"""

import base64
import json
import math
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import bson
import orjson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError

from cauldron.ports.legacy import Block, Unreadable

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 + 64 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DEPTH = 180
AT_ONCE = 32  # documents
Doc = dict[str, Any]


def _decoder(of: Any, to: Callable[[Any], Any]) -> TypeDecoder:
    parts = {"bson_type": of, "transform_bson": staticmethod(to)}
    made: TypeDecoder = type(f"Plain{of.__name__}", (TypeDecoder,), parts)()
    return made


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds") + "Z"


@lru_cache(maxsize=4096)
def _decimal_text(raw: bytes) -> str:
    return str(Decimal128.from_bid(raw))


def _decimal(value: Decimal128) -> Doc:
    return {"$numberDecimal": _decimal_text(value.bid)}


def _float(value: float) -> Any:
    return value if math.isfinite(value) else {"$numberDouble": str(value).replace("nan", "NaN")}


def _binary(value: Any) -> Any:
    data, kind = bytes(value), getattr(value, "subtype", 0)
    if kind in (3, 4) and len(data) == 16:
        return str(uuid.UUID(bytes=data))
    return {"$binary": {"base64": base64.b64encode(data).decode(), "subType": f"{kind:02x}"}}


def _reference(value: DBRef) -> Doc:
    return {"$ref": value.collection, "$id": plain(value.id)}


DECODERS: dict[Any, Callable[[Any], Any]] = {
    ObjectId: str,
    Decimal128: _decimal,
    datetime: _iso,
    DatetimeMS: lambda value: {"$date": {"$numberLong": str(int(value))}},
    Int64: int,
    float: _float,
    Binary: _binary,
    bytes: _binary,
    uuid.UUID: str,
    Regex: lambda value: {"$regularExpression": {"pattern": str(value.pattern), "options": ""}},
    re.Pattern: lambda value: {"$regularExpression": {"pattern": str(value.pattern), "options": ""}},
    Code: lambda value: {"$code": str(value)},
    Timestamp: lambda value: {"$timestamp": {"t": value.time, "i": value.inc}},
    MinKey: lambda _: {"$minKey": 1},
    MaxKey: lambda _: {"$maxKey": 1},
    DBRef: _reference,
}
OPTIONS: CodecOptions[Doc] = CodecOptions(
    type_registry=TypeRegistry([_decoder(kind, to) for kind, to in DECODERS.items()]),
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
LENIENT = OPTIONS.with_options(unicode_decode_error_handler="replace")


def decode(block: Block) -> Iterator[Doc | Unreadable]:
    """The documents of a block, in order; those that cannot be read as :class:`Unreadable`."""
    yield from _bson_documents(block.data) if block.form == "bson" else _json_documents(block.data)


def _bson_documents(data: bytes) -> Iterator[Doc | Unreadable]:
    """A few at a time: what has just been made is still in the processor's cache when it is used."""
    start, end, size = 0, 0, len(data)
    while start < size:
        for _ in range(AT_ONCE):
            end += int.from_bytes(data[end : end + 4], "little")
            if end >= size:
                break
        some = data[start:end]
        try:
            yield from bson.decode_all(some, OPTIONS)
        except (BSONError, ValueError, OverflowError, RecursionError):
            yield from map(_alone, split(some))
        start = end


def split(data: bytes) -> Iterator[bytes]:
    """The BSON documents of ``data``, each as its bytes."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield data[at : at + size]
        at += size


def _alone(raw: bytes) -> Doc | Unreadable:
    try:
        found: Doc = bson.decode(raw, LENIENT)
    except (BSONError, ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"not BSON: {type(error).__name__}")
    return found


def _json_documents(data: bytes) -> Iterator[Doc | Unreadable]:
    for line in data.split(b"\n"):
        if line.strip():
            yield _json_document(line)


def _json_document(line: bytes) -> Doc | Unreadable:
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:  # NaN, and numbers beyond 64 bits
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            return Unreadable(f"not JSON: {type(error).__name__}")
    try:
        found = plain(raw)
    except RecursionError:
        return Unreadable("nested too deep")
    return found if isinstance(found, dict) else Unreadable("not an object")


def plain(value: Any, depth: int = 0) -> Any:
    """Extended JSON of any spelling (canonical, relaxed, before 2.0) as plain JSON values."""
    if isinstance(value, dict):
        if depth > MAX_DEPTH:
            raise RecursionError
        if value and next(iter(value)).startswith("$"):
            found = _typed(value, depth)
            if found is not NotImplemented:
                return found
        return {_text(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        if depth > MAX_DEPTH:
            raise RecursionError
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return {"$numberDecimal": str(value)}
    return _text(value) if isinstance(value, str) else DECODERS.get(type(value), _same)(value)


def _same(value: Any) -> Any:
    return value


def _text(text: str) -> str:
    """Text without halves of surrogate pairs, which no store can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _typed(value: Doc, depth: int) -> Any:
    key = next(iter(value))
    reader = _TYPED.get(key)
    if reader is None:
        return NotImplemented
    try:
        return reader(value[key], value, depth)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        return NotImplemented


def _date(raw: Any, _: Doc, depth: int) -> Any:
    raw = plain(raw, depth + 1)
    if isinstance(raw, str):
        when = datetime.fromisoformat(raw)
        when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
        return _iso(when.replace(tzinfo=None))
    try:
        when = EPOCH + timedelta(milliseconds=raw)
    except OverflowError:
        return {"$date": {"$numberLong": str(raw)}}
    return _iso(when.replace(tzinfo=None))


def _number(raw: Any, whole: Doc, _: int) -> Any:
    if not isinstance(raw, str):
        return _float(raw) if isinstance(raw, float) else raw
    if "$numberDouble" in whole:
        return _float(float(raw))
    return int(raw)


def _bytes(raw: Any, whole: Doc, _: int) -> Any:
    if isinstance(raw, dict):
        data, kind = raw["base64"], raw.get("subType", "00")
    else:
        data, kind = raw, whole.get("$type", "00")
    number = kind if isinstance(kind, int) else int(kind, 16)
    return _binary(Binary(base64.b64decode(data), number))


def _pattern(raw: Any, whole: Doc, _: int) -> Any:
    pattern = raw["pattern"] if isinstance(raw, dict) else raw
    return {"$regularExpression": {"pattern": str(pattern), "options": ""}}


_TYPED: dict[str, Callable[[Any, Doc, int], Any]] = {
    "$oid": lambda raw, *_: str(raw).lower(),
    "$date": _date,
    "$numberInt": _number,
    "$numberLong": _number,
    "$numberDouble": _number,
    "$numberDecimal": lambda raw, *_: {"$numberDecimal": str(Decimal128(str(raw)))},
    "$binary": _bytes,
    "$uuid": lambda raw, *_: str(uuid.UUID(raw)),
    "$undefined": lambda *_: None,
    "$regularExpression": _pattern,
    "$regex": _pattern,
    "$symbol": lambda raw, *_: str(raw),
    "$code": lambda raw, *_: {"$code": str(raw)},
    "$timestamp": lambda raw, *_: {"$timestamp": {"t": int(raw["t"]), "i": int(raw["i"])}},
    "$minKey": lambda *_: {"$minKey": 1},
    "$maxKey": lambda *_: {"$maxKey": 1},
    "$ref": lambda raw, whole, depth: {"$ref": raw, "$id": plain(whole["$id"], depth + 1)},
}

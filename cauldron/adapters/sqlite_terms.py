"""Terms of SQL on the SQLite engine: field expressions, comparisons, documents as text."""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Compare, Doc

MAX_DOC_BYTES = 16 * 1024 * 1024  # the least of all engines
SCALARS = (str, int, float, bool, type(None))

_ENCODE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_BAD_IN_SEGMENT = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "!=": "IS NOT"}

Params = tuple[Any, ...]


def quoted(name: str) -> str:
    """An SQL identifier."""
    return f'"{name}"'


@lru_cache(maxsize=4096)
def json_path(path: str) -> str:
    """The JSON path of a dotted path, as an SQL literal. Raises Invalid."""
    segments = path.split(".")
    if any(not part or _BAD_IN_SEGMENT.search(part) for part in segments):
        raise Invalid(f"{path!r} is not a field path", path=path)
    inside = "".join(f'."{part}"' for part in segments).replace("'", "''")
    return f"'${inside}'"


Hot = frozenset[str]
NOTHING_HOT: Hot = frozenset()
HOT_PREFIX = "f:"


@lru_cache(maxsize=4096)
def column(path: str, hot: Hot = NOTHING_HOT) -> str:
    """The SQL expression for a field; exactly the text that index definitions use."""
    if path == "_id":
        return "id"
    if path == "_v":
        return "v"
    inside = json_path(path)
    return quoted(HOT_PREFIX + path) if path in hot else f"json_extract(doc,{inside})"


def scalar(value: Any, *, where: str) -> Any:
    """``value`` when filters can compare it: text, 64-bit integer, finite float, bool or null."""
    if not isinstance(value, SCALARS):
        raise Invalid(f"{where}: cannot compare with a {type(value).__name__}", path=where)
    if isinstance(value, str) and "\0" in value:
        raise Invalid(f"{where}: an indexed text cannot hold NUL", path=where)
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"{where}: {value} is not a JSON number", path=where)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{where}: integers have 64 bits", path=where)
    return value


def operand(value: Any, *, hot: bool = False) -> tuple[str, Any]:
    """A placeholder and its parameter.

    Unless the column is hot, a float travels as JSON text, so that SQLite reads it by
    the same routine as the stored one: its reading may differ from Python's in the last bit.
    """
    if isinstance(value, float) and not hot:
        return "json_extract(?,'$')", orjson.dumps(value).decode()
    return "?", value


def condition(path: str, wanted: Any, hot: Hot = NOTHING_HOT) -> tuple[str, Params]:
    """One term of a filter or guard as SQL. Raises Invalid."""
    field, is_hot = column(path, hot), path in hot
    if isinstance(wanted, tuple):
        return _any_of(field, [scalar(value, where=path) for value in wanted], hot=is_hot)
    if isinstance(wanted, Compare):
        return _compared(field, wanted, path=path, hot=is_hot)
    if isinstance(wanted, list):
        if not all(isinstance(each, Compare) for each in wanted):
            raise Invalid(f"{path}: a list in a filter holds comparisons", path=path)
        terms = [_compared(field, each, path=path, hot=is_hot) for each in wanted]
        sql = " AND ".join(term for term, _ in terms) or "1"
        return sql, tuple(value for _, values in terms for value in values)
    if scalar(wanted, where=path) is None:
        return f"{field} IS NULL", ()
    mark, value = operand(wanted, hot=is_hot)
    return f"{field} = {mark}", (value,)


def _any_of(field: str, values: list[Any], *, hot: bool) -> tuple[str, Params]:
    if hot and any(isinstance(value, float) for value in values):
        some = tuple(value for value in values if value is not None)
        sql = f"{field} IN ({','.join('?' * len(some))})"
        return (f"({sql} OR {field} IS NULL)" if None in values else sql), some
    present = orjson.dumps([value for value in values if value is not None]).decode()
    sql = f"{field} IN (SELECT value FROM json_each(?))"
    return (f"({sql} OR {field} IS NULL)" if None in values else sql), (present,)


def _compared(field: str, wanted: Compare, *, path: str, hot: bool) -> tuple[str, Params]:
    """A comparison within one type: numbers never compare with texts, as on every engine."""
    if wanted.op not in _COMPARISONS:
        raise Invalid(f"{path}: unknown comparison {wanted.op!r}", path=path)
    value = scalar(wanted.value, where=path)
    if value is None and wanted.op != "!=":
        raise Invalid(f"{path}: null has no order", path=path)
    mark, param = operand(value, hot=hot)
    sql = f"{field} {_COMPARISONS[wanted.op]} {mark}"
    if isinstance(value, str) and wanted.op in ("<", "<="):
        sql += f" AND {field} >= ''"
    elif not isinstance(value, str) and wanted.op in (">", ">="):
        sql += f" AND {field} < ''"
    return sql, (param,)


def conditions(terms: Mapping[str, Any], hot: Hot = NOTHING_HOT) -> tuple[str, Params]:
    """All ``terms`` together, each preceded by AND."""
    if not terms:
        return "", ()
    made = [condition(path, wanted, hot) for path, wanted in terms.items()]
    return "".join(f" AND {sql}" for sql, _ in made), tuple(p for _, params in made for p in params)


def literal(value: Any) -> str:
    """A constant as SQL, for the predicates of partial indexes."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return orjson.dumps(int(value) if isinstance(value, bool) else value).decode()


def encode(value: Any, *, where: str) -> str:
    """``value`` as JSON text.

    Raises:
        Invalid: it holds something JSON has no name for (NaN, a 65-bit integer,
            a lone surrogate, a key that is no text), or it is over 16 MiB.
    """
    try:
        data = orjson.dumps(value, option=_ENCODE)
    except (orjson.JSONEncodeError, RecursionError) as exc:
        raise Invalid(f"{where}: {exc}", path=where) from exc
    if len(data) > MAX_DOC_BYTES:
        raise Invalid(f"{where}: {len(data)} bytes, at most {MAX_DOC_BYTES}", path=where)
    if b"null" in data and value is not None and _hides_nan(value, data):
        raise Invalid(f"{where}: NaN and infinities are not JSON", path=where)
    return data.decode()


def _hides_nan(value: Any, data: bytes) -> bool:
    """Is one of the nulls in ``data`` a NaN or infinity, which orjson writes so?"""
    if isinstance(value, str):
        return False
    if isinstance(value, dict) and data.count(b"null") == list(value.values()).count(None):
        return False  # each one is accounted for at the top
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)
    return False


def decode(row: tuple[Any, ...]) -> Doc:
    """The document of a row ``(…, v, doc)``, its version as ``_v``."""
    doc: Doc = orjson.loads(row[-1])
    doc["_v"] = row[-2]
    return doc


def pick(doc: Any, path: str) -> Any:
    for part in path.split("."):
        doc = doc.get(part) if isinstance(doc, dict) else None
    return doc

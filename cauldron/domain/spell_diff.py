"""What differs between two spell documents, field by field: inputs go by name, steps by id."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

KEYS = ("id", "name")  # what an item of a list goes by
Kind = Literal["added", "removed", "changed", "moved"]
Keyed = dict[str, Mapping[str, Any]]


class Change(NamedTuple):
    """One field that differs; ``path`` as in ``steps.card.inputs.width``."""

    path: str
    change: Kind
    before: Any  # None when it was added
    after: Any  # None when it was removed


def diff_documents(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every field that differs, in the order of the documents; a list of another order is ``moved``.

    Of what is wholly new, or gone, each field is named. Cost: linear in both documents.
    """
    return list(_fields(before, after, ""))


def _fields(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    names = [*before, *(name for name in after if name not in before)]
    for name in names:
        inner = f"{path}.{name}" if path else str(name)
        if name not in after:
            yield from _whole(before[name], inner, "removed")
        elif name not in before:
            yield from _whole(after[name], inner, "added")
        else:
            yield from _values(before[name], after[name], inner)


def _values(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _fields(before, after, path)
        return
    was, now = _both_keyed(before, after)
    if was is not None and now is not None:
        kept = [name for name in was if name in now]
        if kept != [name for name in now if name in was]:
            yield Change(path, "moved", list(was), list(now))
        yield from _fields(was, now, path)
    elif before != after or type(before) is not type(after):
        yield Change(path, "changed", before, after)


def _whole(value: Any, path: str, kind: Literal["added", "removed"]) -> Iterator[Change]:
    """Each field of what is on one side only."""
    parts = value if isinstance(value, Mapping) else _keyed(value)
    if not parts:
        yield Change(path, kind, None, value) if kind == "added" else Change(path, kind, value, None)
        return
    for name, part in parts.items():
        yield from _whole(part, f"{path}.{name}", kind)


def _both_keyed(before: Any, after: Any) -> tuple[Keyed | None, Keyed | None]:
    """The items of two lists by the same field, when there is one that tells apart those of both."""
    for key in KEYS:
        found = _keyed(before, (key,)), _keyed(after, (key,))
        if None not in found:
            return found
    return None, None


def _keyed(value: Any, keys: Sequence[str] = KEYS) -> Keyed | None:
    """The items of a list by what they go by, without that field; None when they are not told apart so."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    for key in keys:
        if all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in value):
            found: Keyed = {}
            for item in value:
                found[item[key]] = {name: part for name, part in item.items() if name != key}
            return found if len(found) == len(value) else None
    return None


def tools_used(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """``{step: tool@version}`` of an execution snapshot as it is kept."""
    return {
        step["id"]: f"{step['tool']}@{str(step['version']).removeprefix('=')}"
        for step in snapshot["spell"]["steps"]
    }

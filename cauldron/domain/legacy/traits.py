"""Trait trees of the earlier system, three dialects and their mixtures, as categories.

``traitTree`` with ``name`` and ``value``; ``traitTypes`` with ``title`` and
``prompt``; a ``traitTree`` that a first migration left with the old keys; and traits
typed as lines ``name|prompt|rarity``.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from cauldron.domain.legacy.values import Doc, first, items, part, text_of, whole_of

UNNAMED = 0.5  # the weight the earlier system gave to a rarity that was missing or 0
BAD_NAME = re.compile(r"[\x00-\x1f\x7f/\\]+")
BRACKETS = re.compile(r"[\[\]]+")
HOLE = re.compile(r"\[\[([^\[\]]*)\]\]")
SINGLE = re.compile(r"(?<!\[)\[([^\[\]]+)\](?!\]|\{)")
SECTION = re.compile(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]\{")
MOST_STEPS = 20


def tree_of(doc: Doc, notes: list[str]) -> list[Any]:
    """The categories as they were written, from wherever they stood."""
    config = part(doc, "config")
    for source in (config, doc):
        for key, note in (("traitTree", "traits.tree"), ("traitTypes", "traits.types")):
            found = source.get(key)
            if isinstance(found, dict):
                found = found.get("categories") or list(found.values())
            if isinstance(found, list) and found:
                notes.append(note)
                return found
    return []


def categories_of(raw: list[Any], notes: list[str]) -> tuple[list[Doc], dict[str, str]]:
    """Categories of a collection document, and old name → new name for the placeholders."""
    found: list[Doc] = []
    renamed: dict[str, str] = {}
    for number, entry in enumerate(raw, 1):
        if not isinstance(entry, dict):
            notes.append("traits.unreadable")
            continue
        old = text_of(first(entry, "name", "title"), longest=500)
        if "title" in entry and "name" not in entry:
            notes.append("traits.title_for_name")
        wanted = _name(BRACKETS.sub(" ", old), f"Category {number}", most=76)
        if wanted.lower() == "tag":
            wanted = f"{wanted} trait"
        name = _unlike(wanted, {category["name"] for category in found})
        if name != old:
            notes.append("traits.renamed")
        renamed.setdefault(old, name)
        found.append({"name": name, **_kind(entry, notes)})
    return found, renamed


def _kind(entry: Doc, notes: list[str]) -> Doc:
    generator = part(entry, "generator")
    if entry.get("mode") == "generated" or (generator and not items(entry, "traits")):
        return {"range": _range(generator, notes)}
    return {"options": _options(items(entry, "traits"), notes)}


def _range(generator: Doc, notes: list[str]) -> Doc:
    notes.append("traits.range")
    low, high = _number(generator.get("start")), _number(generator.get("end"))
    step = _number(generator.get("step")) or 1
    numbers: Doc = {"from": low if low is not None else 1, "to": high if high is not None else 1}
    return {
        **numbers,
        "step": step,
        "pad": max(0, min(20, whole_of(generator.get("zeroPad")) or 0)),
        "unique": generator.get("uniqueAcrossCook") is True,
    }


def _options(raw: list[Any], notes: list[str]) -> list[Doc]:
    entries = [_line(entry) if isinstance(entry, str) else entry for entry in raw]
    if any(isinstance(entry, str) for entry in raw):
        notes.append("traits.lines")
    weights = [
        rarity_of(entry.get("rarity"), notes) if isinstance(entry, dict) else None for entry in entries
    ]
    any_weight = any(weight is not None for weight in weights)
    found: list[Doc] = []
    for number, (entry, weight) in enumerate(zip(entries, weights, strict=True), 1):
        if not isinstance(entry, dict):
            notes.append("traits.unreadable")
            continue
        option = _option(entry, number, {each["name"] for each in found}, notes)
        if any_weight:
            if weight is None:
                notes.append("traits.rarity_missing")
            option["weight"] = UNNAMED if weight is None else weight
        found.append(option)
    return found


def _option(entry: Doc, number: int, taken: set[str], notes: list[str]) -> Doc:
    said = text_of(first(entry, "name", "title"), longest=500)
    value = first(entry, "value", "prompt")
    if entry.get("value") is None and entry.get("prompt") is not None:
        notes.append("traits.prompt_for_value")
    fallback = text_of(value, longest=60) or f"Trait {number}"
    name = _unlike(_name(said, _name(fallback, f"Trait {number}", most=110), most=110), taken)
    option: Doc = {"name": name}
    if value is None and said and said != name:
        value = said
    if value is not None and value != name:
        option["value"] = value
    return option


def _line(text: str) -> Doc:
    """``name|prompt|rarity`` as it was typed into a chat."""
    parts = [each.strip() for each in text.split("|")]
    found: Doc = {"name": parts[0]}
    if len(parts) > 1 and parts[1]:
        found["prompt"] = parts[1]
    if len(parts) > 2:
        found["rarity"] = parts[2]
    return found


def rarity_of(value: Any, notes: list[str]) -> float | None:
    """A weight; None when none was given. 0 worked as one half there, and so it does here."""
    number = _number(value)
    if value is None or value == "":
        return None
    if number is None or number < 0:
        notes.append("traits.rarity_unreadable")
        return None
    if number == 0:
        notes.append("traits.rarity_zero")
        return UNNAMED
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value.strip().rstrip("%")) if len(value) < 40 else None
        except ValueError:
            return None
    if isinstance(value, dict) and len(value) == 1:
        return _number(next(iter(value.values()))) if next(iter(value)).startswith("$number") else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or abs(value) > 1e12:
        return None
    return int(value) if float(value).is_integer() else float(value)


def _name(text: str, fallback: str, *, most: int) -> str:
    return BAD_NAME.sub(" ", text).strip().lstrip("$")[:most].strip() or fallback


def _unlike(name: str, taken: set[str]) -> str:
    """``name``, or with the first number that makes it another one."""
    if name not in taken:
        return name
    return next(f"{name} {n}" for n in range(2, len(taken) + 3) if f"{name} {n}" not in taken)


def inputs_of(raw: Any, renamed: Mapping[str, str], notes: list[str]) -> Any:
    """Parameters with their placeholders renamed; those that name nothing stay the text they were."""
    if isinstance(raw, str):
        return HOLE.sub(lambda hole: _hole(hole, renamed, notes), raw)
    if isinstance(raw, list):
        return [inputs_of(item, renamed, notes) for item in raw]
    if isinstance(raw, dict):
        return {key: inputs_of(item, renamed, notes) for key, item in raw.items()}
    return raw


def _hole(hole: re.Match[str], renamed: Mapping[str, str], notes: list[str]) -> str:
    name = renamed.get(hole[1]) or renamed.get(hole[1].strip())
    if name is None:
        notes.append("traits.placeholder_names_nothing")
        return f"\\{hole[0]}"
    return f"[[{name}]]"


def master_prompt(text: str, renamed: Mapping[str, str], notes: list[str]) -> str:
    """A master prompt with ``[Trait]`` as one with ``[[Trait]]``."""
    if SECTION.search(text):
        notes.append("traits.optional_section")
    known = {old.lower(): new for old, new in renamed.items()}

    def replaced(found: re.Match[str]) -> str:
        name = known.get(found[1].strip().lower())
        return f"[[{name}]]" if name else found[0]

    return SINGLE.sub(replaced, text)

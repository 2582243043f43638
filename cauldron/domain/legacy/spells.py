"""Spells of the earlier system, chains of tools, as drafts of spell documents."""

import re
from collections.abc import Mapping
from typing import Any

from cauldron.domain.json_values import json_problem
from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.mapping import SPELLS, Mapped, SetAside, Setting, cleaned, note_owner, record_of
from cauldron.domain.legacy.values import Doc, first, id_of, id_text, iso_of, items, part, rest_of, text_of
from cauldron.domain.spell import SLUG, STEP_ID, slug_of
from cauldron.domain.spell_document import parse_leniently, spell_document
from cauldron.domain.times import iso
from cauldron.domain.tool_document import PORT_NAME, TOOL_ID

CARRIED = frozenset({
    "_id", "name", "slug", "publicSlug", "description", "creatorId", "ownedBy", "visibility", "isPublic",
    "permissionType", "createdAt", "updatedAt", "schemaVersion",
})  # fmt: skip


def spell_slug(doc: Mapping[str, Any]) -> str:
    """The slug that a spell gets here: its own where it is one, else made from its name."""
    said = text_of(first(doc, "slug", "publicSlug"), longest=64).lower()
    if SLUG.fullmatch(said):
        return said
    return slug_of(text_of(doc.get("name"), longest=200) or said)


def map_spell(doc: Doc, setting: Setting) -> Mapped:
    """The record of a spell: a draft, never published by itself.

    Raises:
        SetAside: no usable id, no steps, or nothing that makes a spell document.
    """
    spell_id = id_of(doc, "_id")
    if spell_id is None:
        raise SetAside("no_id", "the spell has no id that could be kept")
    notes: list[str] = []
    owner = setting.owner(first(doc, "ownedBy", "creatorId"))
    note_owner(owner, notes)
    visibility = statuses.visibility_of(doc)
    if doc.get("visibility") is None:
        notes.append("spell.visibility_filled")
    draft = cleaned(_draft(doc, setting, notes, visibility=visibility), notes)
    spell, problems = parse_leniently(draft)
    if problems:
        raise SetAside("no_spell", f"{problems[0].path}: {problems[0].message}"[:300])
    created = iso_of(doc.get("createdAt")) or iso(0)
    record = record_of(
        spell_id,
        setting,
        owner=owner,
        visibility=visibility,
        slug=spell.slug,
        name=spell.name,
        description=spell.description,
        draft=spell_document(spell),
        actor=owner,
        previewImages=[],
        revision=1,
        lastVersion=0,
        publishedVersion=None,
        deleted=False,
        createdAt=created,
        updatedAt=iso_of(doc.get("updatedAt")) or created,
        legacy=dict(cleaned(rest_of(doc, CARRIED), notes)),
    )
    return Mapped([(SPELLS, record)], notes)


def _draft(doc: Doc, setting: Setting, notes: list[str], *, visibility: str) -> Doc:
    steps = [step for step in items(doc, "steps") if isinstance(step, dict)]
    ids = _step_ids(steps, notes)
    exposed, ports = _exposed(doc, steps, ids, notes)
    name = "".join(c for c in text_of(doc.get("name"), longest=80) if c.isprintable()).strip()
    written = [_step(step, ids, exposed, setting, notes) for step in steps]
    _check_order(steps, doc, notes)
    return {
        "cauldronSpell": 1,
        "name": name or "Untitled spell",
        "slug": spell_slug(doc),
        "description": text_of(doc.get("description"), longest=10_000).replace("\r\n", "\n"),
        "visibility": visibility,
        **({"inputs": ports} if ports else {}),
        "steps": written,
        **({"output": {"step": written[-1]["id"]}} if written else {}),
    }


def _node(step: Doc) -> str:
    return id_text(first(step, "id", "nodeId", "stepId")) or ""


def _step_ids(steps: list[Doc], notes: list[str]) -> dict[str, str]:
    """Node id → step id. Nodes had any id, timestamps too."""
    found: dict[str, str] = {}
    for number, step in enumerate(steps, 1):
        node = _node(step)
        wanted = node.lower() if STEP_ID.fullmatch(node.lower()) else f"step{number}"
        if wanted in found.values():
            wanted = f"step{number}"
        if wanted != node:
            notes.append("spell.step_renamed")
        found[node or wanted] = wanted
    return found


def _step(
    step: Doc,
    ids: Mapping[str, str],
    exposed: Mapping[tuple[str, str], str],
    setting: Setting,
    notes: list[str],
) -> Doc:
    node = _node(step)
    old = text_of(first(step, "toolIdentifier", "toolId", "displayName"), longest=120)
    inputs: Doc = {}
    for key, raw in part(step, "parameterMappings").items():
        value = _expression(raw, ids, notes)
        if value is not None and PORT_NAME.fullmatch(key):
            inputs[key] = value
    for source in (part(step, "parameters"), part(step, "parameterOverrides")):
        inputs |= {key: _literal(value) for key, value in source.items() if value is not None}
    for (at, key), name in exposed.items():
        if at == node:
            inputs[key] = {"input": name}
    label = text_of(step.get("displayName"), longest=80)
    return {
        "id": ids.get(node, "step1"),
        "tool": _tool(setting.tool_ids.get(old, old), notes),
        **({"label": label} if label else {}),
        "inputs": inputs,
    }


def _tool(old: str, notes: list[str]) -> str:
    """A tool id in our form; the tool itself may not be here, publishing says so."""
    if TOOL_ID.fullmatch(old):
        return old
    notes.append("spell.tool_renamed")
    plain = re.sub(r"[^a-z0-9_-]+", "-", old.lower()).strip("-_")
    return plain if plain[:1].isalpha() else f"tool-{plain or 'unknown'}"


def _expression(raw: Any, ids: Mapping[str, str], notes: list[str]) -> Any:
    """A mapping of a parameter: a constant, or an output of another node."""
    if not isinstance(raw, dict):
        return None if raw is None else _literal(raw)
    kind = raw.get("type")
    if kind in ("static", "literal", "value") or (kind is None and "value" in raw):
        return None if raw.get("value") is None else _literal(raw["value"])
    node = id_text(raw.get("nodeId"))
    if kind == "nodeOutput" and node in ids:
        output = text_of(raw.get("outputKey"), longest=64)
        named = {"output": output} if PORT_NAME.fullmatch(output) else {}
        return {"step": ids[str(node)], **named}
    notes.append("spell.mapping_dropped")
    return None


def _literal(value: Any) -> Any:
    if json_problem(value) is not None:
        return {"literal": None}
    return {"literal": value} if isinstance(value, dict | list) else value


def _exposed(
    doc: Doc, steps: list[Doc], ids: Mapping[str, str], notes: list[str]
) -> tuple[dict[tuple[str, str], str], list[Doc]]:
    """(node, parameter) → name of the exposed input, and the inputs with what is known of their types."""
    found: dict[tuple[str, str], str] = {}
    ports: list[Doc] = []
    for raw in items(doc, "exposedInputs"):
        if not isinstance(raw, dict):
            continue
        node, key = id_text(raw.get("nodeId")) or "", text_of(raw.get("paramKey"), longest=64)
        if node not in ids or not PORT_NAME.fullmatch(key) or (node, key) in found:
            notes.append("spell.input_dropped")
            continue
        taken = set(found.values())
        name = key if key not in taken else f"{ids[node]}_{key}"[:64]
        if name in taken:
            continue
        found[(node, key)] = name
        ports.append(_port(name, _known_value(steps, node, key)))
    return found, ports


def _known_value(steps: list[Doc], node: str, key: str) -> Any:
    for step in steps:
        if _node(step) == node:
            mapping = part(step, "parameterMappings").get(key)
            inner = mapping.get("value") if isinstance(mapping, dict) else mapping
            return first({"a": part(step, "parameterOverrides").get(key), "b": inner}, "a", "b")
    return None


def _port(name: str, value: Any) -> Doc:
    """An exposed input: types were never kept, the value it had is the best witness."""
    kind = "text"
    if isinstance(value, bool):
        kind = "boolean"
    elif isinstance(value, int):
        kind = "integer"
    elif isinstance(value, float):
        kind = "number"
    fits = isinstance(value, str | int | float) and not (isinstance(value, str) and len(value) > 2000)
    return {"name": name, "kind": kind, **({"default": value} if fits else {"required": False})}


def _check_order(steps: list[Doc], doc: Doc, notes: list[str]) -> None:
    """Remark where wires of the page ran against the order in which steps were run."""
    place = {_node(step): number for number, step in enumerate(steps)}
    for wire in items(doc, "connections"):
        if not isinstance(wire, dict):
            continue
        start, end = id_text(wire.get("fromWindowId")) or "", id_text(wire.get("toWindowId")) or ""
        if start in place and end in place and place[start] >= place[end]:
            notes.append("spell.order_differs")
            return

"""Collections of the earlier system as collection documents, or as drafts with their problems."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cauldron.domain.collection import MAX_SUPPLY, check_collection, parse_collection
from cauldron.domain.errors import CauldronError, Problem
from cauldron.domain.hashing import content_hash
from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.mapping import (
    COLLECTIONS,
    Mapped,
    SetAside,
    Setting,
    cleaned,
    note_owner,
    record_of,
)
from cauldron.domain.legacy.secrets import clean
from cauldron.domain.legacy.traits import categories_of, inputs_of, master_prompt, tree_of
from cauldron.domain.legacy.values import Doc, first, id_of, id_text, iso_of, part, rest_of, text_of, whole_of
from cauldron.domain.times import iso
from cauldron.domain.trait_reading import INPUT_NAME

CARRIED = frozenset({
    "collectionId", "name", "description", "userId", "totalSupply", "size", "visibility", "createdAt",
    "updatedAt", "schemaVersion", "traitTree", "traitTypes", "toolId", "spellId", "generatorType",
})  # fmt: skip
CONFIG_CARRIED = frozenset({"traitTree", "traitTypes", "paramOverrides", "toolId", "spellId", "totalSupply"})
PATHS = "config.paramOverrides."  # keys that a client wrote as paths


def collection_id_of(doc: Mapping[str, Any]) -> str | None:
    """The key that everything refers to a collection by: a uuid, or the number of older ones."""
    return id_of(doc, "collectionId", "_id")


def changed_at(doc: Mapping[str, Any]) -> str:
    """When a copy of a collection was changed last; the later copy wins."""
    return iso_of(doc.get("updatedAt")) or iso_of(doc.get("createdAt")) or ""


def map_collection(doc: Doc, setting: Setting, *, spells: Mapping[str, str]) -> Mapped:
    """The record of a collection; ``spells`` are spell id → slug.

    Raises:
        SetAside: it has no key.
    """
    key = collection_id_of(doc)
    if key is None:
        raise SetAside("no_id", "the collection has no id that could be kept")
    notes: list[str] = []
    owner = setting.owner(first(doc, "userId", "ownerId"))
    note_owner(owner, notes)
    definition = clean(definition_of(doc, setting, notes, spells=spells))
    problems = _problems(definition)
    if "traits.optional_section" in notes:
        problems.append(_optional_section())
    notes.append("collection.draft" if problems else "collection.valid")
    created = iso_of(doc.get("createdAt")) or iso_of(doc.get("initiated")) or iso(0)
    record = record_of(
        key,
        setting,
        owner=owner,
        visibility=statuses.visibility_of(doc),
        slug=definition["slug"],
        name=definition["name"],
        supply=definition.get("supply") or 0,
        version="" if problems else parse_collection(definition).version_hash,
        contentHash="" if problems else content_hash(parse_collection(definition).document()),
        definition=definition,
        draft=bool(problems),
        problems=[{"path": p.path, "code": p.code, "message": p.message} for p in problems[:50]],
        createdAt=created,
        updatedAt=iso_of(doc.get("updatedAt")) or created,
        legacy=_legacy(doc, notes),
    )
    return Mapped([(COLLECTIONS, record)], notes)


def _problems(definition: Doc) -> list[Problem]:
    try:
        return check_collection(definition)
    except CauldronError as error:  # pragma: no cover - the check lists, it does not raise
        return [Problem(path="document", code=error.code, message=error.message)]


def _optional_section() -> Problem:
    return Problem(
        path="generator.inputs.prompt",
        code="optional_section",
        message="text like [with [Hat]]{Hood}, left out when a trait is empty, has no counterpart",
    )


def definition_of(doc: Doc, setting: Setting, notes: list[str], *, spells: Mapping[str, str]) -> Doc:
    """The collection document; what is missing there is left out, to be reported as a problem."""
    config = part(doc, "config")
    categories, renamed = categories_of(tree_of(doc, notes), notes)
    plain = "".join(c for c in text_of(doc.get("name"), longest=500) if c.isprintable())
    name = re.sub(r"[/\\]", " ", plain).strip()[:80].strip()
    definition: Doc = {
        "cauldron": 1,
        "name": name or "Untitled",
        "slug": slug_of(name),
        "description": text_of(doc.get("description"), longest=20_000).replace("\r\n", "\n"),
        "categories": categories,
    }
    supply = whole_of(first(doc, "totalSupply", "size")) or whole_of(
        first(config, "totalSupply", "legacyTotalSupply")
    )
    if supply is not None and 0 < supply <= MAX_SUPPLY:
        definition["supply"] = supply
    generator = _generator(doc, config, setting, notes, spells=spells)
    inputs = {setting.inputs.get(k, k): v for k, v in _inputs(doc, config, renamed, notes).items()}
    if generator or inputs:
        definition["generator"] = {**generator, "inputs": inputs}
    return definition


def _generator(
    doc: Doc, config: Doc, setting: Setting, notes: list[str], *, spells: Mapping[str, str]
) -> Doc:
    """The tool, else the spell: a spell left beside a tool was stale."""
    tool = text_of(first(doc, "toolId"), longest=120) or text_of(
        first(config, "toolId", "workflow"), longest=120
    )
    spell = id_text(first(doc, "spellId")) or id_text(config.get("spellId"))
    if tool:
        if spell:
            notes.append("collection.stale_spell")
        return {"tool": setting.tool_ids.get(tool, tool)}
    return {"spell": spells.get(spell, spell)} if spell else {}


def _inputs(doc: Doc, config: Doc, renamed: Mapping[str, str], notes: list[str]) -> Doc:
    raw = {**part(config, "paramOverrides"), **part(doc, "paramOverrides")}
    raw |= {key.removeprefix(PATHS): value for key, value in doc.items() if key.startswith(PATHS)}
    raw |= part(doc, "config.paramOverrides")
    found = {}
    for key, value in raw.items():
        if INPUT_NAME.fullmatch(key):
            found[key] = inputs_of(value, renamed, notes)
        else:
            notes.append("collection.input_renamed")
            found[re.sub(r"[^A-Za-z0-9_.-]+", "_", f"p_{key}")[:80]] = inputs_of(value, renamed, notes)
    prompt = text_of(config.get("masterPrompt"), longest=20_000)
    if prompt and "prompt" not in found and "input_prompt" not in found:
        found["prompt"] = master_prompt(prompt, renamed, notes)
    return found


def slug_of(name: str) -> str:
    """A slug like the ones people give; ``collection`` when no letter is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:70].strip("-") or "collection"


def _legacy(doc: Doc, notes: list[str]) -> Doc:
    kept = {k: v for k, v in rest_of(doc, CARRIED).items() if not k.startswith("config.")}
    config = rest_of(part(doc, "config"), CONFIG_CARRIED)
    if config:
        kept["config"] = config
    elif isinstance(kept.get("config"), dict):
        kept.pop("config")
    tree = tree_of(doc, [])
    if any(note.startswith("traits.") and note not in ("traits.tree", "traits.range") for note in notes):
        kept["traits"] = tree
    return dict(cleaned(kept, notes))

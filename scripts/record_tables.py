"""Tables about records and their audit, from the published schemas and the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauldron.domain.audit import RULES
from cauldron.services.audit_fixing import ACTIONS
from cauldron.services.auditing import SCHEMAS
from cauldron.services.formats import load_schema
from scripts.state_tables import table


def audit_rules() -> str:
    """Every rule with its bound and repair."""
    rows = [(f"`{r.name}`", r.title, r.bound, ACTIONS.get(r.name, "")) for r in RULES]
    return table(("rule", "looks for", "bound", "`--fix` would"), rows)


def records() -> str:
    """Every kind of record with its fields."""
    names: dict[str, list[str]] = {}
    for name, schema in SCHEMAS.items():
        names.setdefault(schema, []).append(name)
    return "\n\n".join(_record(schema, tables) for schema, tables in names.items())


def _record(name: str, tables: Sequence[str]) -> str:
    schema = load_schema(name)
    required = set(schema["required"])
    rows = [
        (f"`{field}`", _type(part), "" if field in required else "optional", part.get("description", ""))
        for field, part in schema["properties"].items()
    ]
    kept = " and ".join(f"`{each}`" for each in tables)
    head = f"### {name}\n\n{schema['title']}. Kept in {kept}; schema `{name}.schema.json`."
    return head + "\n\n" + table(("field", "type", "", "meaning"), rows)


def _type(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    if "array" in kinds and "items" in part:
        return f"list of {part['items']['type']}s"
    return " or ".join(kinds)

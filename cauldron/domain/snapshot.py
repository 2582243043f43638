"""The execution snapshot: all that a worker needs of a spell, as immutable plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cauldron.domain.collection_parts import Generator
from cauldron.domain.errors import Invalid, InvalidMany, Problem
from cauldron.domain.hashing import content_hash
from cauldron.domain.registry import ToolSet
from cauldron.domain.spell import Expression, Spell, inputs_read, steps_needed, wrap_tool
from cauldron.domain.spell_document import parse_spell, spell_document
from cauldron.domain.spell_graph import CheckedSpell, Tools, assemble, check_document, check_spell
from cauldron.domain.tool import Port, Tool, check_inputs
from cauldron.domain.tool_document import parse_tool, tool_document

SNAPSHOT_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A spell version with exact tools and overrides.

    ``overrides`` are values of exposed inputs that take the place of their
    defaults; the inputs of one execution come before both.
    """

    checked: CheckedSpell  # its steps name exact versions
    spell_id: str | None = None  # None: a wrapped tool, or a spell that was never saved
    spell_version: int | None = None  # 1-based number of the published version
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spell(self) -> Spell:
        """The graph."""
        return self.checked.spell

    @property
    def output_step(self) -> str:
        """The id of the output node."""
        return self.spell.output.step if self.spell.output else ""

    @property
    def main_output(self) -> str:
        """The output of that node that a piece or a page shows."""
        return (self.spell.output.output if self.spell.output else None) or ""

    @property
    def config_hash(self) -> str:
        """SHA-256 of the canonical JSON of :meth:`to_dict`, 64 hex digits."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data from which :meth:`from_dict` makes an equal snapshot."""
        return {
            "cauldronSnapshot": SNAPSHOT_FORMAT,
            "spellId": self.spell_id,
            "spellVersion": self.spell_version,
            "spell": spell_document(self.spell),
            "tools": [tool_document(tool) for tool in ToolSet(self.checked.tools.values())],
            "overrides": dict(self.overrides),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Snapshot":
        """The snapshot that :meth:`to_dict` wrote; the graph is not checked a second time.

        Raises:
            Invalid: of another format, or a tool that a step names is not in it.
        """
        if raw.get("cauldronSnapshot") != SNAPSHOT_FORMAT:
            raise Invalid(f"not an execution snapshot of format {SNAPSHOT_FORMAT}")
        spell = parse_spell(raw["spell"], source="snapshot")
        tools = {(tool.id, f"={tool.version}"): tool for tool in map(parse_tool, raw["tools"])}
        try:
            checked = assemble(spell, {step.id: tools[step.tool, step.version] for step in spell.steps})
        except (KeyError, ValueError) as error:
            raise Invalid(f"the execution snapshot is not complete: {error}") from error
        return cls(
            checked=checked,
            spell_id=raw["spellId"],
            spell_version=raw["spellVersion"],
            overrides=raw["overrides"],
        )


def take_snapshot(
    checked: CheckedSpell,
    *,
    spell_id: str | None = None,
    spell_version: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Snapshot:
    """Pin every step of a checked spell to its exact tool version.

    Raises:
        InvalidMany: an override names no exposed input, or does not fit it.
    """
    problems = override_problems(checked, overrides or {})
    if problems:
        raise InvalidMany(problems)
    steps = tuple(replace(step, version=f"={checked.tools[step.id].version}") for step in checked.spell.steps)
    return Snapshot(
        checked=replace(checked, spell=replace(checked.spell, steps=steps)),
        spell_id=spell_id,
        spell_version=spell_version,
        overrides=dict(overrides or {}),
    )


def snapshot_of_tool(tool: Tool, *, overrides: Mapping[str, Any] | None = None) -> Snapshot:
    """The snapshot of ``tool`` wrapped as a spell of one step."""
    return take_snapshot(check_spell(wrap_tool(tool), ToolSet([tool])), overrides=overrides)


def generator_snapshot(generator: Generator, tools: Tools) -> Snapshot:
    """The snapshot of a tool, or of a spell document, as the generator of a collection.

    Raises:
        UnknownTool, UnknownVersion: there is no such tool. InvalidMany: the graph is broken.
    """
    if isinstance(generator.ref, Mapping):
        return take_snapshot(check_document(generator.ref, tools, source="generator.spell"))
    return snapshot_of_tool(tools.resolve(generator.ref, generator.version or "*"))


def override_problems(checked: CheckedSpell, overrides: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with values for some of the exposed inputs; absent ones are no problem."""
    optional = tuple(replace(port, required=False) for port in checked.inputs)
    try:
        check_inputs(replace(as_tool(checked), inputs=optional), overrides)
    except InvalidMany as error:
        return list(error.problems)
    return []


def as_tool(checked: CheckedSpell) -> Tool:
    """The spell seen from outside as one tool: its exposed inputs and its outputs."""
    return Tool(
        id=checked.spell.slug,
        version="0.0.0",
        display_name=checked.spell.name,
        description=checked.spell.description,
        inputs=checked.inputs,
        outputs=checked.outputs,
        adapter="spell",
        deterministic=all(tool.deterministic for tool in checked.tools.values()),
        timeout_s=sum(tool.timeout_s for tool in checked.tools.values()),
    )


def check_exposed(snapshot: Snapshot, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``inputs`` of one execution, checked, with overrides and defaults filled in.

    Raises:
        InvalidMany: unknown, missing, mistyped or out-of-bounds inputs; paths begin
            with ``<slug>.<input>``.
    """
    given = {name: value for name, value in inputs.items() if not _absent(snapshot, name, value)}
    return check_inputs(as_tool(snapshot.checked), {**snapshot.overrides, **given})


def _absent(snapshot: Snapshot, name: str, value: Any) -> bool:
    port = exposed_port(snapshot, name)
    return value is None and port is not None and not port.nullable


def exposed_port(snapshot: Snapshot, name: str) -> Port | None:
    """The exposed input called ``name`` with narrowed bounds, or None."""
    return next((port for port in snapshot.checked.inputs if port.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step in the order of execution, with what it waits for."""

    id: str
    label: str
    tool: Tool
    inputs: Mapping[str, Expression]
    needs: tuple[str, ...]  # ids of earlier steps
    exposed: tuple[str, ...]  # names of exposed inputs it reads


def execution_plan(snapshot: Snapshot) -> tuple[PlannedStep, ...]:
    """The steps of the snapshot, each after those it needs. Work it out once per snapshot."""
    by_id = {step.id: step for step in snapshot.spell.steps}
    return tuple(
        PlannedStep(
            id=step.id,
            label=step.label or step.id,
            tool=snapshot.checked.tools[step.id],
            inputs=step.inputs,
            needs=steps_needed(step),
            exposed=inputs_read(step),
        )
        for step in (by_id[step_id] for step_id in snapshot.checked.order)
    )

"""Spells: graphs of tools with exposed inputs and exactly one output node.

A step's input is an expression. In a document every object is one of five tagged
forms, so data can never be mistaken for a reference (see ``spell_document``).
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.spell_template import Name, StepName, names_in
from cauldron.domain.tool import Port, Tool

MAX_STEPS = 100
MAX_INPUTS = 100
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
STEP_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
VISIBILITIES = ("private", "unlisted", "public")
RESERVED_KINDS = ("map", "when", "approve")
WRAPPED_STEP = "tool"


@dataclass(frozen=True, slots=True)
class Literal:
    """A plain JSON value, handed on as it is; nothing inside is ever interpreted."""

    value: Any


@dataclass(frozen=True, slots=True)
class InputRef:
    """The value of one of the spell's exposed inputs, with its type."""

    name: str


@dataclass(frozen=True, slots=True)
class StepRef:
    """One output of another step, with its type; ``output`` None is the step's only one."""

    step: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """Text with ``{{input.name}}`` and ``{{step.id.output}}``, replaced in a single pass."""

    text: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of expressions; an item that resolves to nothing is left out."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """An object of expressions; a field that resolves to nothing is left out."""

    fields: Mapping[str, "Expression"]


Expression = Literal | InputRef | StepRef | Template | ListOf | ObjectOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One use of a tool. ``version`` is a range, see :mod:`cauldron.domain.registry`."""

    id: str
    tool: str
    version: str = "*"
    label: str = ""  # what pages call the step; the id when empty
    inputs: Mapping[str, Expression] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The output node: its outputs are the spell's; ``output`` names the main one."""

    step: str
    output: str | None = None  # None: the first that the tool declares


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A graph of steps. ``output`` None is inferred as the only step no other step uses."""

    name: str
    slug: str
    steps: tuple[Step, ...]
    inputs: tuple[Port, ...] = ()
    output: Output | None = None
    description: str = ""
    visibility: str = "private"

    def step(self, step_id: str) -> Step | None:
        """The step called ``step_id``, or None."""
        return next((step for step in self.steps if step.id == step_id), None)

    def input(self, name: str) -> Port | None:
        """The exposed input called ``name``, or None."""
        return next((port for port in self.inputs if port.name == name), None)


def parts(expression: Expression) -> Iterator[Expression]:
    """``expression`` and everything inside it, outside in."""
    pending = [expression]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, ListOf):
            pending += reversed(current.items)
        elif isinstance(current, ObjectOf):
            pending += reversed(tuple(current.fields.values()))


def references(expression: Expression) -> Iterator[InputRef | StepRef]:
    """Every reference inside ``expression``, those of its templates included."""
    for part in parts(expression):
        if isinstance(part, InputRef | StepRef):
            yield part
        elif isinstance(part, Template):
            for name in names_in(part.text):
                yield reference_of(name)


def reference_of(name: Name) -> InputRef | StepRef:
    """The reference that a template's placeholder stands for."""
    return StepRef(name.step, name.output) if isinstance(name, StepName) else InputRef(name.input)


def steps_needed(step: Step) -> tuple[str, ...]:
    """The ids of the steps that ``step`` refers to, each once, sorted: stores do not keep key order."""
    return tuple(sorted({found.step for found in _referred(step) if isinstance(found, StepRef)}))


def inputs_read(step: Step) -> tuple[str, ...]:
    """The names of the exposed inputs that ``step`` refers to, each once, sorted."""
    return tuple(sorted({found.name for found in _referred(step) if isinstance(found, InputRef)}))


def _referred(step: Step) -> Iterator[InputRef | StepRef]:
    return itertools.chain.from_iterable(map(references, step.inputs.values()))


def slug_of(name: str) -> str:
    """``name`` as a slug: lower case, other characters as single hyphens; "spell" when none is left."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join(words)[:64].strip("-") or "spell"


def wrap_tool(tool: Tool) -> Spell:
    """``tool`` as a spell of one step, with all its inputs exposed under their names."""
    return Spell(
        name=tool.display_name,
        slug=slug_of(tool.id),
        description=tool.description,
        inputs=tool.inputs,
        steps=(
            Step(
                id=WRAPPED_STEP,
                tool=tool.id,
                version=f"={tool.version}",
                label=tool.display_name,
                inputs={port.name: InputRef(port.name) for port in tool.inputs},
            ),
        ),
        output=Output(step=WRAPPED_STEP),
    )

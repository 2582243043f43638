"""Comparing what a step's inputs are given with what its tool declares."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cauldron.domain.errors import Problem
from cauldron.domain.port_fit import carries
from cauldron.domain.spell import (
    Expression,
    InputRef,
    ListOf,
    Literal,
    ObjectOf,
    Spell,
    Step,
    StepRef,
    Template,
    reference_of,
)
from cauldron.domain.spell_template import names_in, spelled
from cauldron.domain.tool import Kind, Port, Tool, check_value

Tools = Mapping[str, Tool]  # step id -> its exact tool; a step whose tool is unknown is absent
ANY = Port(name="", kind=Kind.JSON)
HAVE_TEXT_FORM = frozenset({Kind.TEXT, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.CHOICE, Kind.COLOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A literal, reference or template that meets ``port`` at ``path``."""

    expression: Literal | InputRef | StepRef | Template
    port: Port
    path: str
    may_be_absent: bool  # nothing is missed when it resolves to nothing


def check_step(spell: Spell, step: Step, *, tools: Tools) -> list[Problem]:
    """What is wrong with the inputs of ``step``, whose tool is ``tools[step.id]``."""
    tool = tools[step.id]
    path = f"steps[{step.id}].inputs"
    problems = [
        _problem(
            f"{path}.{name}", "unknown_input", f"{tool.id} has no input {name!r:.60}{_known(tool.inputs)}"
        )
        for name in step.inputs
        if tool.input(name) is None
    ]
    for port in tool.inputs:
        if port.name not in step.inputs and port.required and port.default is None:
            problems.append(_problem(f"{path}.{port.name}", "missing", f"is required by {tool.id}"))
    for found in step_leaves(step, tool):
        problems += [found] if isinstance(found, Problem) else _check_leaf(found, spell, tools=tools)
    return problems


def step_leaves(step: Step, tool: Tool) -> Iterator[Leaf | Problem]:
    """What meets the tool's ports in ``step``, or why its form does not fit."""
    for name, expression in step.inputs.items():
        port = tool.input(name)
        if port is not None:
            optional = not port.required or port.default is not None
            yield from _leaves(expression, port, path=f"steps[{step.id}].inputs.{name}", optional=optional)


def _leaves(expression: Expression, port: Port, *, path: str, optional: bool) -> Iterator[Leaf | Problem]:
    if isinstance(expression, ListOf):
        yield from _list_leaves(expression, port, path=path)
    elif isinstance(expression, ObjectOf):
        yield from _object_leaves(expression, port, path=path, optional=False)
    else:
        yield Leaf(expression=expression, port=port, path=path, may_be_absent=optional)


def _list_leaves(expression: ListOf, port: Port, *, path: str) -> Iterator[Leaf | Problem]:
    if port.kind not in (Kind.LIST, Kind.JSON):
        yield _problem(path, "type_mismatch", f"must be {port.kind.value}, not a list")
        return
    low, high = port.minimum or 0, port.maximum if port.maximum is not None else 1_000
    sure = sum(isinstance(item, Literal) and item.value is not None for item in expression.items)
    if len(expression.items) < low or sure > high:
        yield _problem(path, "out_of_range", f"must have {low} to {high} items, not {len(expression.items)}")
    for index, item in enumerate(expression.items):
        where = f"{path}[{index}]"
        if isinstance(item, ObjectOf):
            yield from _object_leaves(item, port.item or ANY, path=where, optional=True)
        else:
            yield from _leaves(item, port.item or ANY, path=where, optional=True)


def _object_leaves(
    expression: ObjectOf, port: Port, *, path: str, optional: bool
) -> Iterator[Leaf | Problem]:
    """``optional``: the object stands in a list, and is dropped when a required field is absent."""
    if port.kind not in (Kind.OBJECT, Kind.JSON):
        yield _problem(path, "type_mismatch", f"must be {port.kind.value}, not an object")
        return
    known = {field.name: field for field in port.fields}
    for field in port.fields:
        if field.required and field.default is None and field.name not in expression.fields:
            yield _problem(f"{path}.{field.name}", "missing", "is required")
    for name, inner in expression.fields.items():
        where = f"{path}.{name}"
        inner_port = known.get(name, ANY)
        if port.kind is Kind.OBJECT and name not in known:
            yield _problem(where, "unknown_field", f"no such field{_known(port.fields)}")
        else:
            spare = optional or not inner_port.required or inner_port.default is not None
            yield from _leaves(inner, inner_port, path=where, optional=spare)


def _check_leaf(leaf: Leaf, spell: Spell, *, tools: Tools) -> list[Problem]:
    match leaf.expression:
        case Literal(None):
            fine = leaf.may_be_absent or leaf.port.nullable
            return [] if fine else [_problem(leaf.path, "missing", "is required")]
        case Literal(value):
            return check_value(leaf.port, value, path=leaf.path)
        case Template(text):
            return _check_template(text, leaf, spell, tools=tools)
        case InputRef() | StepRef() as reference:
            source = source_port(reference, spell, tools=tools, path=leaf.path)
            if source is None or isinstance(source, Problem):
                return [source] if source else []
            return _check_source(source, leaf, exposed=isinstance(reference, InputRef))


def _check_source(source: Port, leaf: Leaf, *, exposed: bool) -> list[Problem]:
    reason = carries(source, leaf.port)
    if reason is not None:
        return [_problem(leaf.path, "type_mismatch", reason)]
    unsure = exposed and (source.nullable or not (source.required or source.default is not None))
    if unsure and not leaf.may_be_absent and not leaf.port.nullable:
        message = f"is required, but the exposed input {source.name!r} may be absent; make that one required"
        return [_problem(leaf.path, "may_be_missing", message)]
    return []


def _check_template(text: str, leaf: Leaf, spell: Spell, *, tools: Tools) -> list[Problem]:
    if leaf.port.kind not in (Kind.TEXT, Kind.JSON):
        return [
            _problem(leaf.path, "type_mismatch", f"a template is text, which is no {leaf.port.kind.value}")
        ]
    problems: list[Problem] = []
    for name in dict.fromkeys(names_in(text)):
        source = source_port(reference_of(name), spell, tools=tools, path=leaf.path)
        if isinstance(source, Problem):
            problems.append(source)
        elif source is not None and source.kind not in HAVE_TEXT_FORM:
            message = f"{{{{{spelled(name)}}}}} is {source.kind.value}, which has no text form"
            problems.append(_problem(leaf.path, "type_mismatch", message))
    return problems


def source_port(
    reference: InputRef | StepRef, spell: Spell, *, tools: Tools, path: str
) -> Port | Problem | None:
    """The port that ``reference`` reads; a problem when there is none, None when its tool is unknown."""
    if isinstance(reference, InputRef):
        port = spell.input(reference.name)
        message = f"there is no exposed input {reference.name!r:.60}{_known(spell.inputs)}"
        return port or _problem(path, "unknown_input", message)
    if spell.step(reference.step) is None:
        return _problem(path, "unknown_step", f"there is no step {reference.step!r:.60}")
    if reference.step not in tools:
        return None
    return output_port(tools[reference.step], reference.output) or _problem(
        path, "unknown_output", _output_message(tools[reference.step], reference)
    )


def output_port(tool: Tool, name: str | None) -> Port | None:
    """The output called ``name``; None is the only one. None when that names nothing."""
    if name is None:
        return tool.outputs[0] if len(tool.outputs) == 1 else None
    return tool.output(name)


def _output_message(tool: Tool, reference: StepRef) -> str:
    known = _known(tool.outputs)
    if reference.output is None:
        return f"the step {reference.step!r} has several outputs; name one{known}"
    return f"the step {reference.step!r} has no output {reference.output!r:.60}{known}"


def exposed_ports(spell: Spell, tools: Tools) -> tuple[Port, ...]:
    """The exposed inputs, with bounds narrowed to what every step that uses them accepts."""
    uses: dict[str, list[Port]] = {}
    for step in spell.steps:
        for leaf in step_leaves(step, tools[step.id]) if step.id in tools else ():
            if isinstance(leaf, Leaf) and isinstance(leaf.expression, InputRef):
                uses.setdefault(leaf.expression.name, []).append(leaf.port)
    return tuple(_narrowed(port, uses.get(port.name, [])) for port in spell.inputs)


def _narrowed(port: Port, uses: list[Port]) -> Port:
    same = [use for use in uses if use.kind is port.kind or use.kind is Kind.NUMBER]
    lows = [bound.minimum for bound in (port, *same) if bound.minimum is not None]
    highs = [bound.maximum for bound in (port, *same) if bound.maximum is not None]
    lengths = [bound.max_length for bound in (port, *same) if bound.max_length is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if port.kind is Kind.INTEGER:
        low = math.ceil(low) if low is not None and math.isfinite(low) else low
        high = math.floor(high) if high is not None and math.isfinite(high) else high
    return replace(port, minimum=low, maximum=high, max_length=min(lengths, default=None))


def _known(ports: tuple[Port, ...]) -> str:
    return "; there is " + ", ".join(port.name for port in ports[:20]) if ports else ""


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)

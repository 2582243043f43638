"""Working out one step's inputs from the exposed inputs and the results of earlier steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Invalid, InvalidMany, NotFound, Problem
from cauldron.domain.snapshot import Snapshot
from cauldron.domain.spell import (
    Expression,
    InputRef,
    ListOf,
    Literal,
    ObjectOf,
    StepRef,
    Template,
    reference_of,
)
from cauldron.domain.spell_template import Name, render
from cauldron.domain.spell_types import ANY, output_port
from cauldron.domain.tool import Kind, Port

Results = Mapping[str, Mapping[str, Any]]  # step id -> output name -> value


def step_inputs(
    snapshot: Snapshot, step_id: str, *, inputs: Mapping[str, Any], results: Results
) -> dict[str, Any]:
    """The values for the inputs of one step's tool, types preserved.

    What resolves to nothing is left out, so that the tool's default applies: an
    input, a field of an object, an item of a list, and an object in a list one of
    whose required fields (``image``, where the port names no fields) resolves to
    nothing. Null stays where the tool's port is
    nullable and null was given. Nothing that comes in is ever interpreted.

    Args:
        inputs: exposed inputs of this execution; overrides and defaults stand in for the absent.
        results: at least of the steps that this one needs.

    Raises:
        NotFound: the snapshot has no such step.
        InvalidMany: a step that is needed has no results, or a template meets a
            value without a text form.
    """
    step = snapshot.spell.step(step_id)
    if step is None:
        raise NotFound(f"the spell {snapshot.spell.slug!r} has no step {step_id!r}")
    tool = snapshot.checked.tools[step_id]
    scope = _Scope(snapshot=snapshot, inputs=inputs, results=results)
    values = {}
    for name, expression in step.inputs.items():
        try:
            value = scope.resolve(expression, tool.input(name) or ANY)
        except Invalid as error:
            path = f"steps[{step_id}].inputs.{name}"
            raise InvalidMany([Problem(path=path, code="unresolved", message=error.message)]) from error
        if value is not ABSENT:
            values[name] = value
    return values


class _Absent:
    """Nothing: not even null."""


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """What references see during one execution."""

    snapshot: Snapshot
    inputs: Mapping[str, Any]
    results: Results

    def resolve(self, expression: Expression, port: Port) -> Any:
        """The value of ``expression`` for ``port``, or ABSENT."""
        match expression:
            case Literal(value):
                return _kept(value, port)
            case InputRef() | StepRef() as reference:
                return _kept(self.value_of(reference), port)
            case Template(text):
                return render(text, self._named)
            case ListOf(items):
                return self._list(items, port.item or ANY)
            case ObjectOf(fields):
                return self._object(fields, port)

    def value_of(self, reference: InputRef | StepRef) -> Any:
        """What ``reference`` stands for, or ABSENT."""
        if isinstance(reference, InputRef):
            return self._exposed(reference.name)
        if reference.step not in self.results:
            raise Invalid(f"the step {reference.step!r} has no results yet")
        port = output_port(self.snapshot.checked.tools[reference.step], reference.output)
        return self.results[reference.step].get(port.name, ABSENT) if port else ABSENT

    def _exposed(self, name: str) -> Any:
        port = self.snapshot.spell.input(name)
        for given in (self.inputs, self.snapshot.overrides):
            if name in given and (given[name] is not None or (port is not None and port.nullable)):
                return given[name]
        return ABSENT if port is None or port.default is None else port.default

    def _named(self, name: Name) -> Any:
        value = self.value_of(reference_of(name))
        return None if value is ABSENT else value

    def _list(self, items: tuple[Expression, ...], port: Port) -> list[Any]:
        values = [self.resolve(item, port) for item in items]
        return [
            value
            for item, value in zip(items, values, strict=True)
            if value is not ABSENT and not (isinstance(item, ObjectOf) and _needed(item, port) - value.keys())
        ]

    def _object(self, fields: Mapping[str, Expression], port: Port) -> dict[str, Any]:
        ports = {field.name: field for field in port.fields}
        resolved = {name: self.resolve(field, ports.get(name, ANY)) for name, field in fields.items()}
        return {name: value for name, value in resolved.items() if value is not ABSENT}


def _needed(item: ObjectOf, port: Port) -> set[str]:
    """The fields without which an object is left out of a list.

    A port that declares no fields is taken for a layer: it needs its ``image``.
    """
    if port.kind is Kind.JSON:
        return {"image"} & item.fields.keys()
    return {field.name for field in port.fields if field.required and field.default is None}


def _kept(value: Any, port: Port) -> Any:
    """``value``, or ABSENT for a null that the port does not take."""
    return ABSENT if value is None and not port.nullable else value

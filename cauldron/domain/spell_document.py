"""Spells as documents: strict reading, and writing back.

Inside ``inputs`` of a step, text, numbers, true, false and null are literals, a
list is a list of such values, and an object is always one of five tagged forms:
``{input: name}``, ``{step: id, output: name}``, ``{template: text}``,
``{object: {…}}`` (its fields are read in the same way) and ``{literal: …}``
(taken as it is, whatever it holds). Any other object is an error.
"""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.errors import Invalid, InvalidMany, Problem
from cauldron.domain.field_reader import MISSING, FieldReader
from cauldron.domain.json_values import json_problem, shown
from cauldron.domain.registry import range_problem
from cauldron.domain.spell import (
    MAX_INPUTS,
    MAX_STEPS,
    RESERVED_KINDS,
    SLUG,
    STEP_ID,
    VISIBILITIES,
    Expression,
    InputRef,
    ListOf,
    Literal,
    ObjectOf,
    Output,
    Spell,
    Step,
    StepRef,
    Template,
    slug_of,
)
from cauldron.domain.spell_template import pieces_of
from cauldron.domain.tool_document import TOOL_ID, parse_ports, port_document

SPELL_FORMAT = 1
MAX_ITEMS = 1_000
FORMS = ("input", "step", "template", "object", "literal")


def parse_spell(raw: Any, *, source: str = "") -> Spell:
    """The spell of the document ``raw``. Whether its graph holds is checked by ``spell_graph``.

    Raises:
        InvalidMany: every problem at once; paths like ``steps[sky].inputs.width``.
    """
    spell, problems = parse_leniently(raw)
    if problems:
        raise InvalidMany(problems, source=source)
    return spell


def parse_leniently(raw: Any) -> tuple[Spell, list[Problem]]:
    """What can be read of the document ``raw``, and every problem of its form."""
    problems: list[Problem] = []
    if (reason := json_problem(raw)) is not None:
        return Spell(name="", slug="", steps=()), [_problem("document", "wrong_type", reason)]
    fields = FieldReader(raw, "", problems)
    version = fields.take("cauldronSpell")
    if version != SPELL_FORMAT or isinstance(version, bool):
        fields.problem("cauldronSpell", "format_version", f"must be {SPELL_FORMAT}, the format version")
    name = fields.text("name", default=None, longest=80)
    spell = Spell(
        name=name,
        slug=fields.text("slug", default=slug_of(name), pattern=SLUG, wanted="a–z, 0–9 and -", longest=64),
        description=fields.text("description", longest=10_000),
        visibility=fields.choice("visibility", VISIBILITIES, default="private"),
        inputs=parse_ports(fields, "inputs", most=MAX_INPUTS),
        steps=_steps(fields),
        output=_output(fields),
    )
    fields.finish()
    return spell, problems


def _steps(fields: FieldReader) -> tuple[Step, ...]:
    before = len(fields.problems)
    steps: list[Step] = []
    for path, raw in fields.items("steps", most=MAX_STEPS):
        step = _step(raw, path, fields.problems)
        if step.id and any(step.id == other.id for other in steps):
            message = f"another step is called {step.id!r}"
            fields.problems.append(Problem(path=f"{path}.id", code="duplicate", message=message))
        steps.append(step)
    if not steps and len(fields.problems) == before:
        fields.problem("steps", "missing", "must list at least one step")
    return tuple(steps)


def _step(raw: Any, path: str, problems: list[Problem]) -> Step:
    step_id = raw.get("id") if isinstance(raw, Mapping) else None
    if isinstance(step_id, str) and STEP_ID.fullmatch(step_id):
        path = f"steps[{step_id}]"
    fields = FieldReader(raw, path, problems)
    if _reserved(raw, fields):
        return Step(id=step_id if isinstance(step_id, str) else "", tool="")
    step = Step(
        id=fields.text("id", default=None, pattern=STEP_ID, wanted="a–z, 0–9, - and _, a letter first"),
        tool=fields.text("tool", default=None, pattern=TOOL_ID, wanted="a tool id like noise.field"),
        version=_range(fields),
        label=fields.text("label", longest=80),
        inputs=_inputs(fields),
    )
    fields.finish()
    return step


def _reserved(raw: Any, fields: FieldReader) -> bool:
    """Report a step of a kind that is reserved for a later version of the format."""
    if not isinstance(raw, Mapping):
        return False
    kind = next((kind for kind in RESERVED_KINDS if kind in raw or raw.get("kind") == kind), None)
    if kind is not None:
        fields.problem(kind, "reserved_step", f"{kind} steps are reserved for a later version")
    return kind is not None


def _range(fields: FieldReader) -> str:
    raw = fields.take("version")
    if raw is MISSING:
        return "*"
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if (problem := range_problem(text)) is not None:
        fields.problem("version", "malformed", problem)
        return "*"
    return str(text)


def _inputs(fields: FieldReader) -> dict[str, Expression]:
    raw = fields.take("inputs")
    if raw is MISSING:
        return {}
    if not isinstance(raw, Mapping):
        fields.problem("inputs", "wrong_type", f"must be an object, not {shown(raw)}")
        return {}
    where = fields.at("inputs")
    return {
        name: parse_expression(value, f"{where}.{name}", problems=fields.problems)
        for name, value in raw.items()
    }


def parse_expression(raw: Any, path: str, *, problems: list[Problem]) -> Expression:
    """The expression that ``raw`` spells; problems are appended to ``problems``."""
    if isinstance(raw, Mapping):
        return _tagged(raw, path, problems)
    if not isinstance(raw, list | tuple):
        return Literal(raw)
    if len(raw) > MAX_ITEMS:
        problems.append(_problem(path, "too_many", f"has {len(raw)} items, {MAX_ITEMS} allowed"))
        return Literal(None)
    items = [parse_expression(item, f"{path}[{i}]", problems=problems) for i, item in enumerate(raw)]
    return ListOf(tuple(items))


def _tagged(raw: Mapping[str, Any], path: str, problems: list[Problem]) -> Expression:
    tags = [form for form in FORMS if form in raw]
    if len(tags) != 1:
        message = (
            "an object here is one of {input: …}, {step: …, output: …}, {template: …}, {object: {…}} "
            "and {literal: …}; write data as {literal: …}"
        )
        problems.append(_problem(path, "untagged_object", message))
        return Literal(None)
    fields = FieldReader(raw, path, problems)
    expression = _form(tags[0], fields)
    fields.finish()
    return expression


def _form(tag: str, fields: FieldReader) -> Expression:
    if tag == "literal":
        return Literal(fields.take("literal"))
    if tag == "input":
        return InputRef(fields.text("input", default=None, wanted="the name of an exposed input"))
    if tag == "step":
        step = fields.text("step", default=None, wanted="the id of a step")
        return StepRef(step, fields.text("output", wanted="the name of an output") or None)
    if tag == "template":
        return _template(fields)
    return _object(fields)


def _template(fields: FieldReader) -> Expression:
    text = fields.take("template")
    if not isinstance(text, str):
        fields.problem("template", "wrong_type", f"must be text, not {shown(text)}")
        return Literal(None)
    try:
        pieces_of(text)
    except Invalid as error:
        fields.problem("template", "template_malformed", error.message)
        return Literal(None)
    return Template(text)


def _object(fields: FieldReader) -> Expression:
    raw = fields.take("object")
    if not isinstance(raw, Mapping):
        fields.problem("object", "wrong_type", f"must be an object, not {shown(raw)}")
        return Literal(None)
    where = fields.path
    parsed = {
        name: parse_expression(value, f"{where}.{name}", problems=fields.problems)
        for name, value in raw.items()
    }
    return ObjectOf(parsed)


def _output(fields: FieldReader) -> Output | None:
    raw = fields.take("output")
    if raw is MISSING:
        return None
    if isinstance(raw, list | tuple):
        fields.problem("output", "two_outputs", "a spell has exactly one output node, not a list of them")
        return None
    inner = FieldReader(raw, "output", fields.problems)
    if not isinstance(raw, Mapping):
        return None
    output = Output(
        step=inner.text("step", default=None, wanted="the id of a step"),
        output=inner.text("output", wanted="the name of an output") or None,
    )
    inner.finish()
    return output


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)


def spell_document(spell: Spell) -> dict[str, Any]:
    """``spell`` as a document that :func:`parse_spell` reads back to an equal spell."""
    document: dict[str, Any] = {
        "cauldronSpell": SPELL_FORMAT,
        "name": spell.name,
        "slug": spell.slug,
        "description": spell.description,
        "visibility": spell.visibility,
        "inputs": [port_document(port) for port in spell.inputs],
        "steps": [_step_document(step) for step in spell.steps],
    }
    if spell.output is not None:
        document["output"] = _reference("step", spell.output.step, spell.output.output)
    return document


def _step_document(step: Step) -> dict[str, Any]:
    document: dict[str, Any] = {"id": step.id, "tool": step.tool, "version": step.version}
    if step.label:
        document["label"] = step.label
    document["inputs"] = {name: _spelled(expression) for name, expression in step.inputs.items()}
    return document


def _spelled(expression: Expression) -> Any:
    match expression:
        case Literal(value):
            return {"literal": value} if isinstance(value, dict | list | tuple) else value
        case InputRef(name):
            return {"input": name}
        case StepRef(step, output):
            return _reference("step", step, output)
        case Template(text):
            return {"template": text}
        case ListOf(items):
            return [_spelled(item) for item in items]
        case ObjectOf(fields):
            return {"object": {name: _spelled(field) for name, field in fields.items()}}


def _reference(tag: str, name: str, output: str | None) -> dict[str, str]:
    return {tag: name, "output": output} if output else {tag: name}

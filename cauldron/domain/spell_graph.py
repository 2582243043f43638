"""Checking a spell's graph against the tools there are, and ordering its steps."""

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cauldron.domain.errors import InvalidMany, NotFound, Problem
from cauldron.domain.spell import MAX_STEPS, Output, Spell, inputs_read, references, steps_needed
from cauldron.domain.spell_document import parse_leniently
from cauldron.domain.spell_types import check_step, exposed_ports
from cauldron.domain.tool import Port, Tool, check_value

MAY_FOLLOW = frozenset({"unused_input", "two_outputs", "unreachable_step", "missing", "may_be_missing"})
NAMELESS = re.compile(r"steps\[[0-9]+\]")  # a step whose id could not be read


class Tools(Protocol):
    """Where tool versions come from: a ToolSet or the registry service."""

    def resolve(self, tool_id: str, version_range: str = "*") -> Tool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSpell:
    """A spell whose graph holds, with what was decided while checking it."""

    spell: Spell  # with its output node and main output named
    tools: Mapping[str, Tool]  # step id -> exact tool
    order: tuple[str, ...]  # step ids, each after the steps it needs
    inputs: tuple[Port, ...]  # exposed inputs, with bounds narrowed by their uses
    outputs: tuple[Port, ...]  # what the output node gives


def check_spell(spell: Spell, tools: Tools, *, source: str = "") -> CheckedSpell:
    """``spell`` with its tools found, its types compared and its steps ordered.

    Raises:
        InvalidMany: every problem at once, each path naming the step and the field.
    """
    checked, problems = _examine(spell, tools)
    if checked is None or problems:
        raise InvalidMany(problems, source=source)
    return checked


def check_document(raw: Any, tools: Tools, *, source: str = "") -> CheckedSpell:
    """The spell of the document ``raw``, read and checked in one go.

    Raises:
        InvalidMany: the problems of its form and those of its graph together; of the
            latter, those that may only follow from the former are left out.
    """
    spell, problems = parse_leniently(raw)
    named = replace(spell, steps=tuple(step for step in spell.steps if step.id))
    checked, more = _examine(named, tools)
    if problems:
        more = [problem for problem in more if not _follows(problem, problems)]
    if checked is None or problems or more:
        raise InvalidMany(problems + more, source=source)
    return checked


def _follows(problem: Problem, earlier: Sequence[Problem]) -> bool:
    """Whether a problem of the graph may be nothing but the consequence of one of the form."""
    if problem.code in MAY_FOLLOW:
        return True
    if problem.code == "unknown_step" and any(NAMELESS.match(other.path) for other in earlier):
        return True
    return any(
        problem.path.startswith(other.path)
        or other.path.startswith(problem.path)
        or (other.code == "reserved_step" and other.path.startswith(problem.path.rpartition(".")[0]))
        for other in earlier
    )


def _examine(spell: Spell, tools: Tools) -> tuple[CheckedSpell | None, list[Problem]]:
    problems = _count_problems(spell)
    if problems:
        return None, problems
    found = _find_tools(spell, tools, problems)
    for step in spell.steps:
        if step.id in found:
            problems += check_step(spell, step, tools=found)
    _, cycles = topological_order(spell)
    problems += [_cycle_problem(spell, cycle) for cycle in cycles]
    problems += _exposed_problems(spell, exposed_ports(spell, found))
    output = _output(spell, found, problems)
    if problems or output is None:
        return None, problems
    return assemble(replace(spell, output=output), found), []


def assemble(spell: Spell, tools: Mapping[str, Tool]) -> CheckedSpell:
    """A spell that was checked before, with its exact tools by step id; nothing is checked again.

    Raises:
        ValueError: the output node is not named, so it was never checked.
    """
    if spell.output is None:
        raise ValueError("the output node of a checked spell is named")
    return CheckedSpell(
        spell=spell,
        tools=tools,
        order=topological_order(spell)[0],
        inputs=exposed_ports(spell, tools),
        outputs=tools[spell.output.step].outputs,
    )


def _count_problems(spell: Spell) -> list[Problem]:
    """Too many steps, none, or two of one name: what reading a document also refuses."""
    ids = [step.id for step in spell.steps]
    problems = [
        _problem(f"steps[{position}].id", "duplicate", f"another step is called {step_id!r}")
        for position, step_id in enumerate(ids)
        if step_id in ids[:position]
    ]
    if not 1 <= len(ids) <= MAX_STEPS:
        problems.append(_problem("steps", "too_many" if ids else "missing", f"must be 1 to {MAX_STEPS}"))
    return problems


def _find_tools(spell: Spell, tools: Tools, problems: list[Problem]) -> dict[str, Tool]:
    found = {}
    for step in spell.steps:
        try:
            found[step.id] = tools.resolve(step.tool, step.version)
        except NotFound as error:
            field = "version" if error.code == "unknown_version" else "tool"
            problems.append(_problem(f"steps[{step.id}].{field}", error.code, error.message))
    return found


def topological_order(spell: Spell) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The step ids in an order in which each follows those it needs, and the cycles found.

    The order is stable: of the steps that could come next, the one written first
    does. Steps on a cycle, or that need one, are left out of it. Each cycle is
    ``(a, b, c)`` where a needs b, b needs c and c needs a; no step is in two of them.

    Cost: O((steps + references) log steps) without cycles. Source: Kahn,
    "Topological sorting of large networks", CACM 5 (1962).
    """
    index = {step.id: position for position, step in enumerate(spell.steps)}
    needs = {step.id: [n for n in steps_needed(step) if n in index] for step in spell.steps}
    order = _ordered(needs, index)
    cycles = []
    done = set(order)
    left = {step: [n for n in needed if n not in done] for step, needed in needs.items() if step not in done}
    while left:
        cycle = _one_cycle(left)
        cycles.append(cycle)
        rest = {
            step: [n for n in needed if n not in cycle] for step, needed in left.items() if step not in cycle
        }
        cleared = set(_ordered(rest, index))
        left = {s: [n for n in needed if n not in cleared] for s, needed in rest.items() if s not in cleared}
    return order, tuple(cycles)


def _ordered(needs: Mapping[str, list[str]], index: Mapping[str, int]) -> tuple[str, ...]:
    waiting = {step: len(needed) for step, needed in needs.items()}
    used_by: dict[str, list[str]] = {step: [] for step in needs}
    for step, needed in needs.items():
        for other in needed:
            used_by[other].append(step)
    ready = [(index[step], step) for step, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, step = heapq.heappop(ready)
        order.append(step)
        for follower in used_by[step]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (index[follower], follower))
    return tuple(order)


def _one_cycle(left: Mapping[str, list[str]]) -> tuple[str, ...]:
    """A cycle among steps that each need another of them."""
    path = [next(iter(left))]
    while path.count(path[-1]) == 1:
        path.append(left[path[-1]][0])
    return tuple(path[path.index(path[-1]) : -1])


def _cycle_problem(spell: Spell, cycle: tuple[str, ...]) -> Problem:
    needed = cycle[1 % len(cycle)]
    step = spell.step(cycle[0])
    field = next(
        name
        for name, expression in (step.inputs if step else {}).items()
        if any(getattr(reference, "step", None) == needed for reference in references(expression))
    )
    written = " → ".join((*cycle, cycle[0]))
    return _problem(f"steps[{cycle[0]}].inputs.{field}", "cycle", f"the steps need one another: {written}")


def _output(spell: Spell, tools: Mapping[str, Tool], problems: list[Problem]) -> Output | None:
    """The output node with its main output named; None when there is not exactly one."""
    step = _output_step(spell, problems)
    if step is None:
        return None
    problems += [
        _problem(f"steps[{other.id}]", "unreachable_step", f"the output {step!r} does not need this step")
        for other in spell.steps
        if other.id not in _ancestors(spell, step)
    ]
    tool = tools.get(step)
    name = spell.output.output if spell.output else None
    if tool is None:
        return None
    if name is not None and tool.output(name) is None:
        there = ", ".join(port.name for port in tool.outputs)
        message = f"the step {step!r} has no output {name!r:.60}; there is {there}"
        problems.append(_problem("output.output", "unknown_output", message))
    if not tool.outputs:
        problems.append(_problem("output.step", "unknown_output", f"{tool.id} has no outputs"))
        return None
    return Output(step=step, output=name or tool.outputs[0].name)


def _output_step(spell: Spell, problems: list[Problem]) -> str | None:
    if spell.output is not None:
        if spell.step(spell.output.step) is None:
            message = f"there is no step {spell.output.step!r:.60}"
            problems.append(_problem("output.step", "unknown_step", message))
            return None
        return spell.output.step
    used = {needed for step in spell.steps for needed in steps_needed(step)}
    sinks = [step.id for step in spell.steps if step.id not in used]
    if len(sinks) > 1:
        message = f"exactly one step may be left unused, but {', '.join(sinks)} are; name the output"
        problems.append(_problem("output", "two_outputs", message))
    return sinks[0] if len(sinks) == 1 else None


def _ancestors(spell: Spell, step_id: str) -> set[str]:
    """``step_id`` and every step it needs, however far away."""
    seen: set[str] = set()
    pending = [step_id]
    while pending:
        current = pending.pop()
        step = spell.step(current)
        if step is not None and current not in seen:
            seen.add(current)
            pending += steps_needed(step)
    return seen


def _exposed_problems(spell: Spell, exposed: tuple[Port, ...]) -> list[Problem]:
    """Exposed inputs that nothing uses, whose uses contradict, or whose default does not fit them."""
    used = {name for step in spell.steps for name in inputs_read(step)}
    problems = []
    for port in exposed:
        path = f"inputs[{port.name}]"
        low, high = port.minimum, port.maximum
        if port.name not in used:
            problems.append(_problem(path, "unused_input", "no step uses this input"))
        elif low is not None and high is not None and low > high:
            message = f"no value suits every step that uses it: at least {low} and at most {high}"
            problems.append(_problem(path, "out_of_range", message))
        elif port.default is not None:
            problems += check_value(port, port.default, path=f"{path}.default")
    return problems


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)

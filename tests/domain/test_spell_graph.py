"""Graphs of steps: order, cycles, types, and every way a document can be wrong."""

import copy
import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import InvalidMany
from cauldron.domain.registry import ToolSet
from cauldron.domain.spell import (
    InputRef,
    ListOf,
    Literal,
    ObjectOf,
    Output,
    Spell,
    Step,
    StepRef,
    Template,
    steps_needed,
    wrap_tool,
)
from cauldron.domain.spell_document import parse_spell, spell_document
from cauldron.domain.spell_graph import check_document, check_spell, topological_order
from cauldron.domain.strict_yaml import read_document
from cauldron.domain.tool import Kind, Port
from tests.domain.spell_samples import (
    POSTCARD,
    SPARE,
    SPLIT,
    TOOLS,
    found_problems,
    graphs,
    spell_of,
    tool,
    with_input,
    with_step,
)


def ancestors(needs: dict[str, set[str]], step: str) -> set[str]:
    found: set[str] = set()
    pending = [step]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += needs[current]
    return found


@given(graphs())
def test_every_acyclic_graph_is_accepted_and_each_step_follows_what_it_needs(graph):
    spell, needs = graph
    order = check_spell(spell, TOOLS).order
    assert sorted(order) == sorted(needs)
    for position, step in enumerate(order):
        assert needs[step] <= set(order[:position])


@given(graphs())
def test_of_the_steps_that_could_come_next_the_one_written_first_does(graph):
    """Against the definition itself, in the simplest form: quadratic, no heap."""
    spell, needs = graph
    left, expected = [step.id for step in spell.steps], []
    while left:
        step = next(step for step in left if needs[step] <= set(expected))
        left.remove(step)
        expected.append(step)
    assert check_spell(spell, TOOLS).order == tuple(expected)


@given(graphs(), st.data())
def test_a_back_edge_is_always_found_as_a_named_cycle(graph, data):
    spell, needs = graph
    late = data.draw(st.sampled_from(sorted(needs)))
    early = data.draw(st.sampled_from(sorted(ancestors(needs, late))))
    needs[early].add(late)
    broken = spell_of({step.id: needs[step.id] for step in spell.steps})
    with pytest.raises(InvalidMany) as caught:
        check_spell(broken, TOOLS)
    cycles = [p for p in caught.value.problems if p.code == "cycle"]
    assert len(cycles) == 1
    written = cycles[0].message.rpartition(": ")[2].split(" → ")
    assert written[0] == written[-1]
    assert all(after in needs[before] for before, after in itertools.pairwise(written))
    assert cycles[0].path == f"steps[{written[0]}].inputs.parts"
    order, named = topological_order(broken)
    assert set(order) == {step for step in needs if early not in ancestors(needs, step)}
    assert [set(cycle) for cycle in named] == [set(written)]


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh")), min_size=1))
def test_any_graph_splits_into_an_order_and_disjoint_true_cycles(needs):
    needs = {step: {n for n in needed if n in needs} for step, needed in needs.items()}
    order, cycles = topological_order(spell_of(needs))
    for position, step in enumerate(order):
        assert needs[step] <= set(order[:position])
    members = [step for cycle in cycles for step in cycle]
    assert len(members) == len(set(members))
    assert not set(members) & set(order)
    for cycle in cycles:
        assert all(
            after in needs[before] for before, after in zip(cycle, (*cycle[1:], cycle[0]), strict=True)
        )
    on_cycles = {step for step in needs if any(step in ancestors(needs, n) for n in needs[step])}
    assert bool(on_cycles) == bool(cycles)
    if not on_cycles:
        assert sorted(order) == sorted(needs)


def test_a_hundred_steps_in_the_worst_order_are_accepted_and_one_more_is_not():
    needs = {f"s{n}": ({f"s{n - 1}"} if n else set()) for n in reversed(range(100))}
    assert check_spell(spell_of(needs), TOOLS).order == tuple(f"s{n}" for n in range(100))
    with pytest.raises(InvalidMany) as caught:
        check_spell(spell_of({"s100": {"s99"}} | needs), TOOLS)
    assert [(p.path, p.code) for p in caught.value.problems] == [("steps", "too_many")]


def test_the_postcard_is_accepted_with_its_output_inferred():
    checked = check_document(read_document(POSTCARD), TOOLS)
    assert checked.order == ("sky", "tint", "caption", "card")
    assert checked.spell.output == Output(step="card", output="image")
    assert checked.tools["sky"].version == "1.2.0", "the greatest version inside the range"
    assert [port.name for port in checked.outputs] == ["image"]


def test_exposed_inputs_carry_the_bounds_of_every_step_that_uses_them():
    checked = check_document(read_document(POSTCARD), TOOLS)
    ports = {port.name: port for port in checked.inputs}
    assert (ports["seed"].minimum, ports["seed"].maximum) == (0, 2**32 - 1)
    assert (ports["strength"].minimum, ports["strength"].maximum) == (0, 1)
    assert ports["place"].max_length == 60


def test_a_wrapped_tool_is_a_spell_of_one_step_with_the_same_inputs():
    for each in TOOLS:
        checked = check_spell(wrap_tool(each), TOOLS)
        assert checked.inputs == each.inputs
        assert checked.outputs == each.outputs
        assert checked.tools == {"tool": each}
        assert parse_spell(json.loads(dumped(checked.spell))) == checked.spell


def dumped(spell: Spell) -> str:
    return json.dumps(spell_document(spell))


def test_two_sinks_are_named():
    with pytest.raises(InvalidMany, match="card, spare"):
        check_document(with_step(SPARE, output="ABSENT"), TOOLS)


def test_two_cycles_are_both_named():
    needs = {"a": {"b"}, "b": {"a"}, "c": {"d", "a"}, "d": {"c"}, "end": {"a", "c"}}
    with pytest.raises(InvalidMany) as caught:
        check_spell(spell_of(needs), TOOLS)
    assert [p.message.rpartition(": ")[2] for p in caught.value.problems] == ["a → b → a", "c → d → c"]


def test_an_integer_goes_into_a_number_a_medium_into_a_file_and_anything_into_json():
    raw = with_step(SPLIT)
    raw["steps"][2]["inputs"] |= {
        "extra": {"step": "split", "output": "info"},
        "raw": {"step": "split", "output": "left"},
    }
    raw["steps"][1]["inputs"]["scale"] = {"input": "zoom"}
    raw["inputs"].append({"name": "zoom", "kind": "integer", "default": 2})
    checked = check_document(raw, TOOLS)
    zoom = next(port for port in checked.inputs if port.name == "zoom")
    assert (zoom.minimum, zoom.maximum) == (1, 10), "0.1 to 10 for a whole number"


def test_a_choice_fits_only_where_all_its_values_are_accepted():
    wide = {"name": "palette", "kind": "choice", "choices": ["dusk", "dawn", "noon"]}
    narrow = wide | {"choices": ["dawn"]}
    use = {"sky__palette": {"input": "palette"}}
    assert found_problems(with_input(wide, **use)) == [("steps[sky].inputs.palette", "type_mismatch")]
    check_document(with_input(narrow, **use), TOOLS)


def test_lists_and_objects_fit_when_their_parts_do():
    layers = {
        "name": "layers",
        "kind": "list",
        "required": True,
        "item": {"kind": "object", "fields": [{"name": "image", "kind": "image", "required": True}]},
    }
    raw = {
        "cauldronSpell": 1,
        "name": "Stack",
        "inputs": [layers],
        "steps": [{"id": "card", "tool": "layers.compose", "inputs": {"layers": {"input": "layers"}}}],
    }
    exposed = check_document(raw, TOOLS).inputs[0]
    assert (exposed.minimum, exposed.maximum) == (1, 4)
    for change in (
        {"name": "opacity", "kind": "text"},
        {"name": "blur", "kind": "number"},
    ):
        other = copy.deepcopy(raw)
        other["inputs"][0]["item"]["fields"].append(change)
        assert found_problems(other) == [("steps[card].inputs.layers", "type_mismatch")]
    other = copy.deepcopy(raw)
    other["inputs"][0]["item"]["fields"] = [{"name": "note", "kind": "text"}]
    assert found_problems(other) == [("steps[card].inputs.layers", "type_mismatch")]


def test_a_tool_without_outputs_cannot_be_the_output():
    tools = ToolSet([tool("sink.hole", (), ())])
    spell = Spell(name="S", slug="s", steps=(Step(id="a", tool="sink.hole"),))
    with pytest.raises(InvalidMany, match="no outputs"):
        check_spell(spell, tools)


def test_a_nullable_input_does_not_satisfy_a_required_one():
    null = Port(name="n", kind=Kind.INTEGER, required=True, nullable=True)
    taking = tool(
        "take.int", (Port(name="n", kind=Kind.INTEGER, required=True),), (Port(name="o", kind=Kind.TEXT),)
    )
    spell = wrap_tool(taking)
    with pytest.raises(InvalidMany) as caught:
        check_spell(replace(spell, inputs=(null,)), ToolSet([taking]))
    assert [p.code for p in caught.value.problems] == ["may_be_missing"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["input", "step", "literal", "object", "template", "x"]), inner)
    ),
    max_leaves=5,
)
EXPRESSIONS = st.recursive(
    JSON.map(Literal)
    | st.sampled_from([InputRef("a"), StepRef("s"), StepRef("s", "o"), Template("{{input.a}} \\{{")]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: ListOf(tuple(items)))
        | st.dictionaries(st.sampled_from(["input", "literal", "image"]), inner, max_size=3).map(ObjectOf)
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_every_expression_is_written_so_that_it_reads_back_equal(expression):
    """Data that looks like a reference stays data, references stay references."""
    step = Step(id="a", tool="t", inputs={"x": expression})
    spell = Spell(name="S", slug="s", steps=(step,))
    assert parse_spell(json.loads(dumped(spell))) == spell


@given(graphs())
def test_what_is_written_back_is_read_as_the_same_spell(graph):
    spell, _ = graph
    assert parse_spell(json.loads(dumped(spell))) == spell


def test_steps_needed_are_named_once():
    step = Step(
        id="a", tool="t", inputs={"x": ListOf((StepRef("c"), StepRef("b"), StepRef("c"), Literal(1)))}
    )
    assert steps_needed(step) == ("b", "c")

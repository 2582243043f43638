"""Snapshots, the order of execution, and what each step is given."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import Invalid, InvalidMany, NotFound
from cauldron.domain.hashing import canonical_json, content_hash
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import (
    Snapshot,
    as_tool,
    check_exposed,
    execution_plan,
    snapshot_of_tool,
    take_snapshot,
)
from cauldron.domain.spell import SLUG, slug_of, wrap_tool
from cauldron.domain.spell_document import parse_spell
from cauldron.domain.spell_graph import check_document, check_spell
from cauldron.domain.spell_template import pieces_of, render
from cauldron.domain.step_inputs import step_inputs
from cauldron.domain.strict_yaml import read_document
from cauldron.domain.tool import Kind, Port, check_inputs
from tests.domain.spell_samples import MEDIA, POSTCARD, TOOLS, graphs, postcard, tool


def taken(raw=None, **rest) -> Snapshot:
    return take_snapshot(check_document(raw or read_document(POSTCARD), TOOLS), **rest)


RESULTS = {
    "sky": {"image": MEDIA},
    "tint": {"image": {**MEDIA, "sizeBytes": 11}},
    "caption": {"text": "From Rome"},
}
INPUTS = {"place": "Rome", "seed": 7}


def given_to(step: str, raw=None, *, inputs=INPUTS, results=RESULTS, **rest):
    return step_inputs(taken(raw, **rest), step, inputs=inputs, results=results)


def test_each_step_is_given_literals_exposed_inputs_and_earlier_results():
    assert given_to("sky") == {"seed": 7, "width": 1024}
    assert given_to("tint") == {"image": MEDIA, "effect": "sepia", "strength": 0.5}
    assert given_to("caption") == {"template": "From Rome"}
    assert given_to("card") == {
        "title": "From Rome",
        "layers": [{"image": {**MEDIA, "sizeBytes": 11}, "opacity": 0.5}],
    }


def test_the_plan_names_for_each_step_what_it_waits_for():
    plan = execution_plan(taken())
    assert [(step.id, step.needs, step.exposed) for step in plan] == [
        ("sky", (), ("seed",)),
        ("tint", ("sky",), ("strength",)),
        ("caption", (), ("place",)),
        ("card", ("caption", "tint"), ("overlay",)),
    ]
    assert plan[0].tool.version == "1.2.0"


def test_inputs_come_before_overrides_and_overrides_before_defaults():
    assert given_to("tint")["strength"] == 0.5
    assert given_to("tint", overrides={"strength": 0.25})["strength"] == 0.25
    inputs = INPUTS | {"strength": 1}
    assert given_to("tint", inputs=inputs, overrides={"strength": 0.25})["strength"] == 1
    assert (
        given_to("tint", inputs=INPUTS | {"strength": None}, overrides={"strength": 0.25})["strength"] == 0.25
    )


def test_types_are_preserved():
    for value in (1, 1.0, 0.1):
        got = given_to("tint", inputs=INPUTS | {"strength": value})["strength"]
        assert got == value
        assert type(got) is type(value)


def test_an_object_in_a_list_without_its_required_field_is_left_out():
    both = given_to("card", inputs=INPUTS | {"overlay": MEDIA})["layers"]
    assert both == [{"image": {**MEDIA, "sizeBytes": 11}, "opacity": 0.5}, {"image": MEDIA}]
    assert len(given_to("card")["layers"]) == 1


def test_nothing_is_left_out_at_every_depth_and_null_is_kept_only_where_it_is_taken():
    layer = {"image": {"step": "tint"}, "note": {"input": "note"}, "opacity": {"input": "veil"}}
    raw = postcard(card__layers=[None, {"object": layer}, {"object": {"image": {"input": "overlay"}}}])
    raw["inputs"] += [
        {"name": "note", "kind": "text", "nullable": True},
        {"name": "veil", "kind": "number", "nullable": True},
    ]
    absent = given_to("card", raw)["layers"]
    assert absent == [{"image": RESULTS["tint"]["image"]}]
    null = given_to("card", raw, inputs=INPUTS | {"note": None, "veil": None})["layers"]
    assert null == [{"image": RESULTS["tint"]["image"], "note": None}]


def test_where_layers_are_plain_json_an_object_needs_its_image():
    item = Port(name="layer", kind=Kind.JSON, nullable=True)
    stack = tool(
        "stack.json", (Port(name="layers", kind=Kind.LIST, item=item),), TOOLS.resolve("noise.field").outputs
    )
    spell = {
        "cauldronSpell": 1,
        "name": "Stack",
        "inputs": [{"name": "hat", "kind": "image"}, {"name": "opacity", "kind": "number"}],
        "steps": [
            {
                "id": "stack",
                "tool": "stack.json",
                "inputs": {
                    "layers": [
                        {"object": {"image": {"input": "hat"}, "opacity": {"input": "opacity"}}},
                        {"object": {"blend": "screen"}},
                        {"input": "hat"},
                        None,
                    ]
                },
            }
        ],
    }
    snapshot = take_snapshot(check_document(spell, ToolSet([stack])))
    bare = step_inputs(snapshot, "stack", inputs={}, results={})
    assert bare == {"layers": [{"blend": "screen"}, None]}
    full = step_inputs(snapshot, "stack", inputs={"hat": MEDIA}, results={})
    assert full == {"layers": [{"image": MEDIA}, {"blend": "screen"}, MEDIA, None]}


def test_a_literal_object_is_never_a_reference():
    data = {"input": "seed", "step": "sky", "template": "{{input.place}}", "literal": {"input": "seed"}}
    assert given_to("tint", postcard(tint__extra={"literal": data}))["extra"] == data
    inside = {"object": {"a": {"literal": data}, "b": [{"literal": data}, {"input": "seed"}]}}
    assert given_to("tint", postcard(tint__extra=inside))["extra"] == {"a": data, "b": [data, 7]}


HOSTILE = st.sampled_from(
    [
        "{{input.seed}}",
        "{{step.sky.image}}",
        "\\{{",
        "{{",
        "}}",
        "{{input.place}}",
        "[[Hat]]",
        "{",
        "a",
        "\\",
        "\n",
    ]
)
PIECES = st.lists(HOSTILE | st.text(max_size=4), max_size=6).map("".join)


@given(PIECES, PIECES)
def test_what_comes_in_is_never_expanded_again(place, other):
    """A template is read once: values with placeholders in them come out as they went in."""
    raw = postcard(caption__template={"template": "<{{input.place}}|{{ input.seed }}|{{input.place}}>"})
    assert given_to("caption", raw, inputs={"place": place, "seed": 3}) == {
        "template": f"<{place}|3|{place}>"
    }
    chained = given_to("card", results=RESULTS | {"caption": {"text": other}})
    assert chained["title"] == other


@given(PIECES.filter(lambda text: "\ud800" not in text))
def test_exposed_values_reach_a_tool_untouched(value):
    wrapped = snapshot_of_tool(TOOLS.resolve("text.template"))
    data = {"template": value}
    assert step_inputs(wrapped, "tool", inputs=data, results={}) == data
    assert step_inputs(wrapped, "tool", inputs={"template": {"input": value}}, results={}) == {
        "template": {"input": value}
    }


@given(
    st.lists(st.sampled_from(["{{input.a}}", "{{step.s.b}}", "\\{{", "x", "{", "}", "}}", "{ {"]), max_size=8)
)
def test_a_template_is_cut_into_exactly_its_pieces(parts):
    """Against the concatenation of what each part stands for."""
    meaning = {"{{input.a}}": "A", "{{step.s.b}}": "B", "\\{{": "{{"}
    text = "".join(parts)
    expected = "".join(meaning.get(part, part) for part in parts)
    if "{{{" in text or text.count("{{") != sum(part.count("{{") for part in parts):
        return
    assert render(text, lambda name: "A" if hasattr(name, "input") else "B") == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (False, "false"), (3, "3"), (0.1, "0.1"), (1e21, "1e+21"), ("x", "x")],
)
def test_values_have_one_text_form(value, text):
    assert render("{{input.a}}", lambda _: value) == text


@pytest.mark.parametrize(
    "text",
    [
        "{{}}",
        "{{x}}",
        "{{input.}}",
        "{{input.a.b}}",
        "{{step.a.b.c}}",
        "{{ step . a }}",
        "{{input.a",
        "{{input.{a}}}",
        "{{INPUT.a}}",
    ],
)
def test_a_malformed_placeholder_is_refused_with_its_place(text):
    with pytest.raises(Invalid, match="at character 3"):
        pieces_of("ab" + text)


def test_a_value_without_a_text_form_is_refused_with_the_step_and_field():
    """The graph keeps media out of templates; a result of another kind than declared is caught here."""
    raw = postcard(card__title={"template": "{{step.caption.text}}"})
    with pytest.raises(InvalidMany) as caught:
        given_to("card", raw, results=RESULTS | {"caption": {"text": MEDIA}})
    assert caught.value.problems[0].path == "steps[card].inputs.title"


def test_a_step_that_has_not_run_and_a_step_there_is_not_are_named():
    with pytest.raises(InvalidMany, match="'sky' has no results"):
        given_to("tint", results={})
    with pytest.raises(NotFound, match="no step 'x'"):
        given_to("x")


def test_a_result_without_the_output_counts_as_nothing():
    with_tint = given_to("tint", results={"sky": {}})
    assert "image" not in with_tint
    with pytest.raises(InvalidMany, match="is required"):
        check_inputs(TOOLS.resolve("image.effect"), with_tint)


def test_a_snapshot_is_plain_data_that_reads_back_equal():
    snapshot = taken(spell_id="s1", spell_version=3, overrides={"strength": 0.25})
    stored = json.loads(canonical_json(snapshot.to_dict()))
    again = Snapshot.from_dict(stored)
    assert again == snapshot
    assert again.config_hash == snapshot.config_hash == content_hash(stored)
    assert execution_plan(again) == execution_plan(snapshot)
    assert again.output_step == "card"
    assert again.main_output == "image"


@given(graphs())
def test_every_valid_graph_survives_being_a_snapshot(graph):
    spell, needs = graph
    snapshot = take_snapshot(check_spell(spell, TOOLS))
    again = Snapshot.from_dict(json.loads(canonical_json(snapshot.to_dict())))
    assert again == snapshot
    results: dict = {}
    for step in execution_plan(again):
        values = step_inputs(again, step.id, inputs={}, results=results)["parts"]
        assert values == [1, *(results[other]["value"] for other in sorted(needs[step.id]))]
        results[step.id] = {"value": sum(values)}


def test_a_snapshot_pins_exact_versions_whatever_is_published_later():
    snapshot = taken()
    assert {step.id: step.version for step in snapshot.spell.steps}["sky"] == "=1.2.0"
    newer = ToolSet([*TOOLS, replace(TOOLS.resolve("noise.field"), version="1.3.0")])
    assert check_document(read_document(POSTCARD), newer).tools["sky"].version == "1.3.0"
    assert Snapshot.from_dict(snapshot.to_dict()).checked.tools["sky"].version == "1.2.0"


def test_the_config_hash_depends_on_version_tools_and_overrides():
    hashes = {
        taken().config_hash,
        taken(overrides={"strength": 0.25}).config_hash,
        taken(spell_id="s1", spell_version=1).config_hash,
        taken(spell_id="s1", spell_version=2).config_hash,
        taken(postcard(sky={"version": "1.0"})).config_hash,
        taken(postcard(sky__width=1023)).config_hash,
    }
    assert len(hashes) == 6
    assert taken().config_hash == taken().config_hash


@pytest.mark.parametrize("raw", [{}, {"cauldronSnapshot": 2}])
def test_another_format_is_no_snapshot(raw):
    with pytest.raises(Invalid, match="format 1"):
        Snapshot.from_dict(raw)


def test_a_snapshot_without_a_tool_it_names_is_refused():
    stored = taken().to_dict()
    stored["tools"] = [each for each in stored["tools"] if each["id"] != "noise.field"]
    with pytest.raises(Invalid, match=r"noise\.field"):
        Snapshot.from_dict(stored)


def test_two_steps_may_use_two_versions_of_one_tool():
    raw = postcard()
    raw["steps"].append({"id": "old", "tool": "noise.field", "version": "1.0", "inputs": {"seed": 1}})
    raw["steps"][0]["inputs"]["layers"].append({"object": {"image": {"step": "old"}}})
    again = Snapshot.from_dict(taken(raw).to_dict())
    assert (again.checked.tools["old"].version, again.checked.tools["sky"].version) == ("1.0.0", "1.2.0")


def test_overrides_are_checked_but_need_not_be_complete():
    assert taken(overrides={"seed": 5}).overrides == {"seed": 5}
    with pytest.raises(InvalidMany) as caught:
        taken(overrides={"strength": 2, "nope": 1})
    assert [p.path for p in caught.value.problems] == ["postcard.nope", "postcard.strength"]


def test_exposed_inputs_are_checked_with_defaults_and_overrides_filled_in():
    snapshot = taken(overrides={"seed": 5})
    assert check_exposed(snapshot, {"place": "Rome"}) == {"place": "Rome", "seed": 5, "strength": 0.5}
    assert check_exposed(snapshot, {"place": "Rome", "seed": None})["seed"] == 5
    with pytest.raises(InvalidMany) as caught:
        check_exposed(snapshot, {"seed": -1, "city": "Rome"})
    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("postcard.city", "unknown_input"),
        ("postcard.place", "missing"),
        ("postcard.seed", "out_of_range"),
    ]


def test_a_spell_seen_from_outside_is_a_tool_with_its_ports():
    seen = as_tool(taken().checked)
    assert [port.name for port in seen.inputs] == ["place", "seed", "strength", "overlay"]
    assert [port.name for port in seen.outputs] == ["image"]


ANY_INPUTS = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**32 - 1)},
    optional={
        "palette": st.sampled_from(["dusk", "dawn"]),
        "width": st.integers(1, 4096) | st.none(),
        "scale": st.floats(0.1, 10),
    },
)


@given(ANY_INPUTS)
def test_a_wrapped_tool_is_given_what_a_direct_call_would_be(values):
    noise = TOOLS.resolve("noise.field")
    wrapped = snapshot_of_tool(noise)
    assert check_inputs(noise, step_inputs(wrapped, "tool", inputs=values, results={})) == check_inputs(
        noise, values
    )


def test_a_wrapped_tool_hands_null_on_where_it_is_nullable():
    null = Port(name="n", kind=Kind.INTEGER, nullable=True, default=4)
    wrapped = snapshot_of_tool(tool("take.null", (null,), (Port(name="o", kind=Kind.TEXT),)))
    assert step_inputs(wrapped, "tool", inputs={"n": None}, results={}) == {"n": None}
    assert step_inputs(wrapped, "tool", inputs={}, results={}) == {"n": 4}


@given(st.text(max_size=100))
def test_every_name_makes_a_slug(name):
    assert SLUG.fullmatch(slug_of(name))


def test_a_spell_reads_the_same_from_yaml_and_json():
    document = read_document(POSTCARD)
    assert parse_spell(document) == parse_spell(read_document(json.dumps(document)))
    assert wrap_tool(TOOLS.resolve("noise.field")).slug == "noise-field"

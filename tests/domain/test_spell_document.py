"""Every way a spell document can be wrong, and where the problem is said to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import InvalidMany
from cauldron.domain.spell_graph import check_document
from tests.domain.spell_samples import (
    MEDIA,
    SPARE,
    SPLIT,
    TOOLS,
    changed,
    found_problems,
    postcard,
    with_input,
    with_step,
)

BAD = {
    "not an object": ([1], [("document", "wrong_type"), ("cauldronSpell", "format_version")]),
    "other format": (changed(cauldronSpell=2), [("cauldronSpell", "format_version")]),
    "format true": (changed(cauldronSpell=True), [("cauldronSpell", "format_version")]),
    "unknown key": (changed(steps_=1), [("steps_", "unknown_key")]),
    "no name": (changed(name="ABSENT"), [("name", "missing")]),
    "blank name": (changed(name="  "), [("name", "missing")]),
    "long name": (changed(name="x" * 81), [("name", "too_long")]),
    "control character": (changed(name="a\x00b"), [("name", "control_character")]),
    "bad slug": (changed(slug="../up"), [("slug", "malformed")]),
    "slug with capital": (changed(slug="Post"), [("slug", "malformed")]),
    "bad visibility": (changed(visibility="secret"), [("visibility", "not_a_choice")]),
    "no steps": (changed(steps=[]), [("steps", "missing")]),
    "steps no list": (changed(steps={}), [("steps", "wrong_type")]),
    "101 steps": (changed(steps=[SPARE] * 101), [("steps", "too_many")]),
    "step no object": (changed(steps=["sky"]), [("steps[0]", "wrong_type")]),
    "step without id": (with_step({"tool": "noise.field"}), [("steps[4].id", "missing")]),
    "step id with dot": (with_step(SPARE | {"id": "a.b"}), [("steps[4].id", "malformed")]),
    "step unknown key": (postcard(sky={"colour": 1}), [("steps[sky].colour", "unknown_key")]),
    "duplicate step": (with_step(SPARE | {"id": "sky"}), [("steps[4].id", "duplicate")]),
    "unknown tool": (postcard(sky={"tool": "noise.fields"}), [("steps[sky].tool", "unknown_tool")]),
    "tool id malformed": (postcard(sky={"tool": "../noise"}), [("steps[sky].tool", "malformed")]),
    "unknown version": (postcard(sky={"version": "2"}), [("steps[sky].version", "unknown_version")]),
    "version no range": (postcard(sky={"version": ">1"}), [("steps[sky].version", "malformed")]),
    "version unquoted": (postcard(sky={"version": 1.2}), [("steps[sky].version", "malformed")]),
    "map step": (with_step({"id": "m", "map": {}}), [("steps[m].map", "reserved_step")]),
    "when step": (with_step({"id": "m", "kind": "when"}), [("steps[m].when", "reserved_step")]),
    "approve step": (with_step({"id": "m", "approve": {}}), [("steps[m].approve", "reserved_step")]),
    "unknown input": (postcard(sky__colour="red"), [("steps[sky].inputs.colour", "unknown_input")]),
    "missing input": (
        postcard(tint={"inputs": {}}),
        [
            ("steps[tint].inputs.image", "missing"),
            ("inputs[strength]", "unused_input"),
            ("steps[sky]", "unreachable_step"),
        ],
    ),
    "null for required": (
        postcard(sky__seed=None),
        [("steps[sky].inputs.seed", "missing"), ("inputs[seed]", "unused_input")],
    ),
    "literal of wrong type": (postcard(sky__width="wide"), [("steps[sky].inputs.width", "wrong_type")]),
    "literal out of bounds": (postcard(sky__width=0), [("steps[sky].inputs.width", "out_of_range")]),
    "literal no choice": (postcard(tint__effect="sephia"), [("steps[tint].inputs.effect", "not_a_choice")]),
    "true as number": (postcard(sky__scale=True), [("steps[sky].inputs.scale", "wrong_type")]),
    "untagged object": (postcard(sky__width={"a": 1}), [("steps[sky].inputs.width", "untagged_object")]),
    "empty object": (postcard(sky__width={}), [("steps[sky].inputs.width", "untagged_object")]),
    "two tags": (
        postcard(sky__width={"input": "seed", "literal": 1}),
        [("steps[sky].inputs.width", "untagged_object")],
    ),
    "tag with extra key": (
        postcard(sky__width={"input": "seed", "default": 1}),
        [("steps[sky].inputs.width.default", "unknown_key")],
    ),
    "input ref no text": (
        postcard(sky__width={"input": 5}),
        [("steps[sky].inputs.width.input", "wrong_type")],
    ),
    "inputs no object": (postcard(caption={"inputs": []}), [("steps[caption].inputs", "wrong_type")]),
    "dangling input": (
        postcard(sky__width={"input": "wide"}),
        [("steps[sky].inputs.width", "unknown_input")],
    ),
    "dangling step": (postcard(tint__raw={"step": "skyy"}), [("steps[tint].inputs.raw", "unknown_step")]),
    "unknown output": (
        postcard(tint__raw={"step": "sky", "output": "picture"}),
        [("steps[tint].inputs.raw", "unknown_output")],
    ),
    "several outputs": (
        with_step(
            SPLIT,
            {"id": "t2", "tool": "image.effect", "inputs": {"image": {"step": "split"}}},
            output={"step": "t2"},
        ),
        None,
    ),
    "text into integer": (
        postcard(sky__width={"step": "caption"}),
        [("steps[sky].inputs.width", "type_mismatch")],
    ),
    "number into integer": (
        postcard(sky__width={"input": "strength"}),
        [("steps[sky].inputs.width", "type_mismatch")],
    ),
    "integer into text": (
        postcard(card__title={"input": "seed"}),
        [("steps[card].inputs.title", "type_mismatch"), ("steps[caption]", "unreachable_step")],
    ),
    "image into text": (
        postcard(card__title={"step": "sky"}),
        [("steps[card].inputs.title", "type_mismatch"), ("steps[caption]", "unreachable_step")],
    ),
    "text into choice": (
        postcard(tint__effect={"input": "place"}),
        [("steps[tint].inputs.effect", "type_mismatch")],
    ),
    "image into template": (
        postcard(caption__template={"template": "{{input.place}}{{step.sky}}"}),
        [("steps[caption].inputs.template", "type_mismatch")],
    ),
    "template into number": (
        postcard(sky__width={"template": "{{input.seed}}"}),
        [("steps[sky].inputs.width", "type_mismatch")],
    ),
    "template of unknown input": (
        postcard(caption__template={"template": "{{input.place}}{{input.town}}"}),
        [("steps[caption].inputs.template", "unknown_input")],
    ),
    "template of unknown step": (
        postcard(caption__template={"template": "{{input.place}}{{step.x.text}}"}),
        [("steps[caption].inputs.template", "unknown_step")],
    ),
    "template malformed": (
        postcard(caption__template={"template": "{{place}}"}),
        [("steps[caption].inputs.template.template", "template_malformed")],
    ),
    "template not closed": (
        postcard(caption__template={"template": "{{input.place"}),
        [("steps[caption].inputs.template.template", "template_malformed")],
    ),
    "template no text": (
        postcard(caption__template={"template": 5}),
        [("steps[caption].inputs.template.template", "wrong_type")],
    ),
    "list for a number": (postcard(sky__width=[1]), [("steps[sky].inputs.width", "type_mismatch")]),
    "object for a number": (
        postcard(sky__width={"object": {}}),
        [("steps[sky].inputs.width", "type_mismatch")],
    ),
    "list too short": (
        postcard(card__layers=[]),
        [
            ("steps[card].inputs.layers", "out_of_range"),
            ("inputs[overlay]", "unused_input"),
            ("steps[sky]", "unreachable_step"),
            ("steps[tint]", "unreachable_step"),
        ],
    ),
    "item of wrong type": (
        postcard(
            card__layers=[
                {"object": {"image": {"step": "tint"}}},
                {"object": {"image": {"input": "overlay"}}},
                5,
            ]
        ),
        [("steps[card].inputs.layers[2]", "wrong_type")],
    ),
    "unknown field": (
        postcard(card__layers=[{"object": {"image": {"step": "tint"}, "blur": {"input": "overlay"}}}]),
        [("steps[card].inputs.layers[0].blur", "unknown_field")],
    ),
    "missing field": (
        postcard(
            card__layers=[
                {"object": {"image": {"step": "tint"}}},
                {"object": {"opacity": 1}},
                {"object": {"image": {"input": "overlay"}}},
            ]
        ),
        [("steps[card].inputs.layers[1].image", "missing")],
    ),
    "field out of bounds": (
        postcard(
            card__layers=[
                {"object": {"image": {"step": "tint"}, "opacity": 2}},
                {"object": {"image": {"input": "overlay"}}},
            ]
        ),
        [("steps[card].inputs.layers[0].opacity", "out_of_range")],
    ),
    "may be missing": (
        postcard(tint__image={"input": "overlay"}),
        [("steps[tint].inputs.image", "may_be_missing"), ("steps[sky]", "unreachable_step")],
    ),
    "cycle of one": (postcard(sky__width={"step": "sky"}), None),
    "unused input": (with_input({"name": "more", "kind": "text"}), [("inputs[more]", "unused_input")]),
    "exposed input malformed": (
        with_input({"name": "more", "kind": "txt"}),
        [("inputs[4].kind", "not_a_choice")],
    ),
    "exposed input twice": (
        with_input({"name": "seed", "kind": "integer"}),
        [("inputs[4].name", "duplicate")],
    ),
    "contradicting bounds": (
        with_input({"name": "w", "kind": "integer", "minimum": 5000}, sky__width={"input": "w"}),
        [("inputs[w]", "out_of_range")],
    ),
    "default outside a use": (
        with_input({"name": "w", "kind": "integer", "default": 0}, sky__width={"input": "w"}),
        [("inputs[w].default", "out_of_range")],
    ),
    "output unknown step": (changed(output={"step": "cart"}), [("output.step", "unknown_step")]),
    "output unknown port": (
        changed(output={"step": "card", "output": "picture"}),
        [("output.output", "unknown_output")],
    ),
    "output list": (changed(output=[{"step": "card"}, {"step": "sky"}]), [("output", "two_outputs")]),
    "output text": (changed(output="card"), [("output", "wrong_type")]),
    "output extra key": (changed(output={"step": "card", "x": 1}), [("output.x", "unknown_key")]),
    "two sinks": (with_step(SPARE, output="ABSENT"), [("output", "two_outputs")]),
    "unreachable step": (with_step(SPARE, output={"step": "card"}), [("steps[spare]", "unreachable_step")]),
}
SPECIAL = {
    "several outputs": ("steps[t2].inputs.image", "unknown_output"),
    "cycle of one": ("steps[sky].inputs.width", "cycle"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_document_is_refused_with_path_and_code(case):
    raw, expected = BAD[case]
    problems = found_problems(raw)
    if expected is None:
        assert SPECIAL[case] in problems
    else:
        assert problems == expected


def test_problems_of_form_and_graph_are_listed_together_without_their_consequences():
    raw = postcard(
        sky={"tool": "noise.fields", "extra": 1},
        tint__effect="sephia",
        card__title={"step": "caption", "output": "txt"},
    )
    raw["steps"].append({"id": "later", "map": {}})
    raw["inputs"][0]["maxLenght"] = 5
    raw["output"] = ["card"]
    assert found_problems(raw) == [
        ("inputs[0].maxLenght", "unknown_key"),
        ("steps[sky].extra", "unknown_key"),
        ("steps[later].map", "reserved_step"),
        ("output", "two_outputs"),
        ("steps[sky].tool", "unknown_tool"),
        ("steps[card].inputs.title", "unknown_output"),
        ("steps[tint].inputs.effect", "not_a_choice"),
    ]


TEXTS = st.sampled_from(
    ["sky", "input", "step", "card", "{{input.seed}}", "x", "", "image", "noise.field", "1", "map"]
)
KEYS = st.sampled_from(
    ["cauldronSpell", "name", "slug", "inputs", "steps", "output", "id", "tool", "version", "input", "step",
     "template", "object", "literal", "kind", "default", "required", "item", "fields", "map", "seed"]
)  # fmt: skip
SOUP = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | TEXTS | st.just(MEDIA),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(SOUP, st.lists(st.tuples(st.integers(0, 20), SOUP), max_size=3))
def test_no_document_gets_anything_but_an_answer_or_a_list_of_problems(soup, grafts):
    """Soup alone, and soup grafted into the postcard at some place."""
    for raw in (soup, grafted(grafts)):
        try:
            checked = check_document(raw, TOOLS)
        except InvalidMany as error:
            assert all(p.path and p.code and p.message for p in error.problems)
        else:
            assert set(checked.order) == {step.id for step in checked.spell.steps}


def grafted(grafts) -> dict:
    raw = postcard()
    for place, value in grafts:
        spots = [(raw, key) for key in raw]
        spots += (
            [(step, key) for step in raw["steps"] if isinstance(step, dict) for key in step]
            if isinstance(raw["steps"], list)
            else []
        )
        holder, key = spots[place % len(spots)]
        holder[key] = value
    return raw

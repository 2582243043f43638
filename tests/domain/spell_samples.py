"""Tools and spells that the spell tests share."""

import copy

import pytest
from hypothesis import strategies as st

from cauldron.domain.errors import InvalidMany
from cauldron.domain.registry import ToolSet
from cauldron.domain.spell import ListOf, Literal, Spell, Step, StepRef
from cauldron.domain.spell_graph import check_document
from cauldron.domain.strict_yaml import read_document
from cauldron.domain.tool import Kind, Port, Tool

MEDIA = {"media": "sha256:" + "ab" * 32, "mime": "image/png", "sizeBytes": 10}
IMAGE = (Port(name="image", kind=Kind.IMAGE),)


def tool(tool_id: str, inputs, outputs, *, version: str = "1.0.0") -> Tool:
    return Tool(
        id=tool_id,
        version=version,
        display_name=tool_id.title(),
        description="",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )


NOISE_INPUTS = (
    Port(name="palette", kind=Kind.CHOICE, choices=("dusk", "dawn"), default="dusk"),
    Port(name="seed", kind=Kind.INTEGER, required=True, minimum=0, maximum=2**32 - 1),
    Port(name="width", kind=Kind.INTEGER, default=512, minimum=1, maximum=4096),
    Port(name="scale", kind=Kind.NUMBER, default=1.0, minimum=0.1, maximum=10),
)
LAYER = Port(
    name="",
    kind=Kind.OBJECT,
    fields=(
        Port(name="image", kind=Kind.IMAGE, required=True),
        Port(name="opacity", kind=Kind.NUMBER, minimum=0, maximum=1, default=1),
        Port(name="note", kind=Kind.TEXT, nullable=True),
    ),
)
TOOLS = ToolSet(
    [
        tool("noise.field", NOISE_INPUTS, IMAGE, version="1.0.0"),
        tool("noise.field", NOISE_INPUTS, IMAGE, version="1.2.0"),
        tool(
            "image.effect",
            (
                Port(name="image", kind=Kind.IMAGE, required=True),
                Port(name="effect", kind=Kind.CHOICE, choices=("sepia", "none"), default="none"),
                Port(name="strength", kind=Kind.NUMBER, minimum=0, maximum=1, default=1),
                Port(name="raw", kind=Kind.FILE),
                Port(name="extra", kind=Kind.JSON),
            ),
            IMAGE,
        ),
        tool(
            "text.template",
            (Port(name="template", kind=Kind.TEXT, required=True, max_length=1000),),
            (Port(name="text", kind=Kind.TEXT),),
        ),
        tool(
            "layers.compose",
            (
                Port(name="layers", kind=Kind.LIST, required=True, minimum=1, maximum=4, item=LAYER),
                Port(name="title", kind=Kind.TEXT),
            ),
            IMAGE,
        ),
        tool(
            "image.split",
            (Port(name="image", kind=Kind.IMAGE, required=True),),
            (
                Port(name="left", kind=Kind.IMAGE),
                Port(name="right", kind=Kind.IMAGE),
                Port(name="pixels", kind=Kind.INTEGER),
                Port(name="info", kind=Kind.JSON),
            ),
        ),
        tool(
            "math.sum",
            (Port(name="parts", kind=Kind.LIST, item=Port(name="", kind=Kind.NUMBER), default=[]),),
            (Port(name="value", kind=Kind.NUMBER),),
        ),
    ]
)

POSTCARD = """
cauldronSpell: 1
name: Postcard
inputs:
  - {name: place, kind: text, required: true, maxLength: 60}
  - {name: seed, kind: integer, required: true}
  - {name: strength, kind: number, default: 0.5}
  - {name: overlay, kind: image}
steps:
  - id: card
    tool: layers.compose
    inputs:
      title: {step: caption, output: text}
      layers:
        - {object: {image: {step: tint}, opacity: 0.5}}
        - {object: {image: {input: overlay}}}
  - id: sky
    tool: noise.field
    version: "1"
    inputs: {seed: {input: seed}, width: 1024}
  - id: tint
    tool: image.effect
    inputs: {image: {step: sky, output: image}, effect: sepia, strength: {input: strength}}
  - id: caption
    tool: text.template
    inputs: {template: {template: "From {{input.place}}"}}
"""


@st.composite
def graphs(draw, *, most: int = 12) -> tuple[Spell, dict[str, set[str]]]:
    """A valid spell of ``math.sum`` steps in shuffled order, and what each step needs."""
    count = draw(st.integers(1, most))
    needs: dict[str, set[str]] = {}
    for position in range(count):
        earlier = list(needs)
        needs[f"s{position}"] = (
            set(draw(st.lists(st.sampled_from(earlier), max_size=3))) if earlier else set()
        )
    used = set().union(*needs.values())
    last = f"s{count - 1}"
    needs[last] |= {step for step in needs if step not in used and step != last}
    order = draw(st.permutations(list(needs)))
    return spell_of({step: needs[step] for step in order}), needs


def spell_of(needs: dict[str, set[str]]) -> Spell:
    """Steps in the order of the mapping, each adding up what it needs."""
    steps = tuple(
        Step(
            id=step,
            tool="math.sum",
            inputs={"parts": ListOf((Literal(1), *(StepRef(other, "value") for other in sorted(needed))))},
        )
        for step, needed in needs.items()
    )
    return Spell(name="Sums", slug="sums", steps=steps)


def postcard(**steps) -> dict:
    """The postcard with changes: ``step__input=value`` sets an input, ``step={…}`` replaces keys."""
    raw = copy.deepcopy(read_document(POSTCARD)) | {"output": {"step": "card"}}
    for name, value in steps.items():
        step_id, _, field = name.partition("__")
        step = next(step for step in raw["steps"] if step["id"] == step_id)
        if field:
            step["inputs"][field] = value
        else:
            step.update(value)
    return raw


def changed(**keys) -> dict:
    return {key: value for key, value in (postcard() | keys).items() if value != "ABSENT"}


def with_step(*steps, **keys) -> dict:
    raw = postcard()
    raw["steps"] += steps
    return {key: value for key, value in (raw | keys).items() if value != "ABSENT"}


def with_input(*ports, **steps) -> dict:
    raw = postcard(**steps)
    raw["inputs"] += ports
    return raw


def found_problems(raw, tools=TOOLS) -> list[tuple[str, str]]:
    with pytest.raises(InvalidMany) as caught:
        check_document(raw, tools)
    return [(p.path, p.code) for p in caught.value.problems]


SPARE = {"id": "spare", "tool": "noise.field", "inputs": {"seed": 1}}
SPLIT = {"id": "split", "tool": "image.split", "inputs": {"image": {"step": "sky"}}}

"""Turns a folder of weighted images into choices: what is always drawn, and what is picked.

Nested folders with weights become plain options whose weight is the product along
the path, which gives every image the same chance as picking folder by folder.
Method: nftchef's art-engine, whose folders and files without a weight are always drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cauldron.adapters.importers.blending import Style
from cauldron.adapters.importers.layertree import Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image to draw; a higher ``z`` is nearer to the viewer."""

    path: Path
    z: int
    style: Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One thing that may be picked; ``answers_to`` are the names rules may call it by."""

    name: str
    weight: float
    pictures: tuple[Picture, ...] = ()
    nested: "tuple[Choice, ...]" = ()
    answers_to: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One pick among ``leaves``; ``empty_weight`` is the weight of picking none."""

    name: str
    leaves: tuple[Leaf, ...]
    empty_weight: float = 0.0

    @property
    def total_weight(self) -> float:
        """The sum of all weights, the empty one included."""
        return self.empty_weight + sum(leaf.weight for leaf in self.leaves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder means: pictures always drawn, at most one choice, further choices."""

    always: tuple[Picture, ...] = ()
    choice: Choice | None = None
    further: tuple[Choice, ...] = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every choice made in this folder, its own first."""
        return ((self.choice,) if self.choice else ()) + self.further


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a layer's names are read.

    ``style_of`` gives the style of an image or folder inside one of a given style;
    ``empty`` tells whether an image stands for "none"; ``names`` replaces option
    names and ``labels`` names of nested folders.
    """

    style_of: Callable[[Element, Style], Style]
    empty: Callable[[Element], bool]
    names: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def read_folder(name: str, elements: Sequence[Element], *, style: Style, z: int, reading: Reading) -> Folder:
    """What the elements of the folder ``name`` mean; see :class:`Folder`."""
    always: list[Picture] = []
    leaves: list[Leaf] = []
    further: list[Choice] = []
    empty_weight = 0.0
    for element in elements:
        own_style = reading.style_of(element, style)
        own_z = z if element.z is None else element.z
        if element.children is None and reading.empty(element):
            empty_weight += element.weight or 0.0
            continue
        inside = _inside(element, style=own_style, z=own_z, reading=reading)
        if element.weight is None:
            always += inside.always
            further += inside.choices
            continue
        more, empty = _leaves(element, inside, element.weight, reading=reading)
        leaves += more
        empty_weight += empty
    name = reading.labels.get(name, name)
    choice = Choice(name=name, leaves=tuple(leaves), empty_weight=empty_weight) if leaves else None
    return Folder(always=tuple(always), choice=choice, further=tuple(further))


def _inside(element: Element, *, style: Style, z: int, reading: Reading) -> Folder:
    if element.children is None:
        return Folder(always=(Picture(path=element.path, z=z, style=style),))
    return read_folder(element.name, element.children, style=style, z=z, reading=reading)


def _leaves(element: Element, inside: Folder, weight: float, *, reading: Reading) -> tuple[list[Leaf], float]:
    """The leaves that a weighted element stands for, and the weight of none."""
    name = reading.names.get(element.name, element.name)
    called = frozenset({element.name})
    if inside.choice is None or inside.further:
        whole = Leaf(
            name=name, weight=weight, pictures=inside.always, nested=inside.choices, answers_to=called
        )
        return [whole], 0.0
    total = inside.choice.total_weight
    share = weight / total if total else 0.0
    leaves = [
        replace(
            leaf,
            weight=leaf.weight * share,
            pictures=inside.always + leaf.pictures,
            answers_to=leaf.answers_to | called,
        )
        for leaf in inside.choice.leaves
    ]
    if inside.choice.empty_weight and inside.always:
        rest = inside.choice.empty_weight * share
        return [*leaves, Leaf(name=name, weight=rest, pictures=inside.always, answers_to=called)], 0.0
    return leaves, inside.choice.empty_weight * share


def nested_names(folder: Folder) -> set[str]:
    """The names of every choice in a folder beside its own."""
    own = folder.choice.leaves if folder.choice else ()
    choices = [*folder.further, *(choice for leaf in own for choice in leaf.nested)]
    found = {choice.name for choice in choices}
    for choice in choices:
        found |= nested_names(Folder(choice=choice))
    return found

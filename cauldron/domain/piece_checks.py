"""What can be said of a collection's pieces before any is made: inputs that do not fit, layers that do not.

Looks at rows of the plan that together hold every option, and at rows spread over
all of it, so that one bad picture among hundreds is found without trying every piece.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cauldron.domain.binding import resolve_inputs
from cauldron.domain.collection import Collection
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.media import is_media
from cauldron.domain.plan import Plan
from cauldron.domain.snapshot import Snapshot, check_exposed, exposed_port

SPREAD = 50  # rows all over the plan
MOST_ROWS = 2_000
MOST_PROBLEMS = 20
COMPOSE = "layers.compose"
Size = tuple[int, int]


def check_pieces(collection: Collection, plan: Plan, snapshot: Snapshot) -> None:
    """Check the generator's inputs of rows that together hold every option.

    Raises:
        InvalidMany: a value does not fit the generator's input, or a layer of
            ``layers.compose`` has another size than its canvas. Paths lead into the
            collection document; at most 20 problems are told.

    Cost: about 0.2 ms a row, for as many rows as there are options, 2,000 at most.
    """
    problems: dict[str, Problem] = {}
    layers = _Layers(collection, snapshot) if _composes(snapshot) else None
    for slot in telling_rows(plan):
        for problem in _problems(resolve_inputs(collection, plan.selection(slot)), snapshot, layers):
            problems.setdefault(problem.path, problem)
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        raise InvalidMany(list(problems.values()))


def generator_inputs(snapshot: Snapshot, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """One piece's inputs, checked, with defaults filled in.

    Raises:
        InvalidMany: an input does not fit; paths lead into the collection document.
    """
    try:
        return check_exposed(snapshot, inputs)
    except InvalidMany as error:
        raise InvalidMany(
            [
                replace(p, path="generator.inputs" + p.path.removeprefix(snapshot.spell.slug))
                for p in error.problems
            ]
        ) from error


def telling_rows(plan: Plan) -> list[int]:
    """Rows spread over the plan, and the first row of every value of every column."""
    rows = {i * plan.supply // SPREAD for i in range(SPREAD)}
    for column in range(plan.rows.shape[1]):
        _, first = np.unique(plan.rows[:, column], return_index=True)
        rows.update(first[:: max(1, len(first) // MOST_ROWS)].tolist())
    found = sorted(rows)
    return found[:: -(-len(found) // MOST_ROWS)]


def _composes(snapshot: Snapshot) -> bool:
    return [step.tool for step in snapshot.spell.steps] == [COMPOSE]


def _problems(inputs: Mapping[str, Any], snapshot: Snapshot, layers: "_Layers | None") -> Iterator[Problem]:
    try:
        checked = generator_inputs(snapshot, inputs)
    except InvalidMany as error:
        yield from error.problems
        return
    if layers is not None:
        yield from layers.problems(checked)


class _Layers:
    """Compares the sizes of layers, which their references tell, with the canvas."""

    def __init__(self, collection: Collection, snapshot: Snapshot) -> None:
        self._places = dict(_places(collection))
        width = exposed_port(snapshot, "width")
        self._widest = width.maximum if width is not None else None

    def problems(self, inputs: Mapping[str, Any]) -> Iterator[Problem]:
        """Layers of another size than the canvas that neither have a place nor are fitted."""
        layers = [layer for layer in inputs.get("layers") or () if isinstance(layer, Mapping)]
        canvas = self._canvas(inputs, layers)
        if canvas and self._widest and max(canvas) > self._widest:
            message = f"is {_shown(canvas)} pixels; pictures have at most {self._widest:g} × {self._widest:g}"
            yield Problem(path=self._place(layers[0]), code="layer_size", message=message)
            return
        if canvas is None or (inputs.get("fit") or "exact") != "exact":
            return
        for layer in layers:
            size = _size(layer)
            placed = layer.get("x") is not None or layer.get("y") is not None
            if size and size != canvas and not placed and (layer.get("fit") or "exact") == "exact":
                yield Problem(
                    path=self._place(layer),
                    code="layer_size",
                    message=f"is {_shown(size)} pixels, the canvas {_shown(canvas)}"
                    f"{self._reason(inputs, layers)}; give the layer x and y, or set fit",
                )

    def _canvas(self, inputs: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> Size | None:
        natural = _size(layers[0]) if layers else None
        width, height = inputs.get("width"), inputs.get("height")
        if width and height:
            return int(width), int(height)
        return (int(width or natural[0]), int(height or natural[1])) if natural else None

    def _reason(self, inputs: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> str:
        given = inputs.get("width") and inputs.get("height")
        return "" if given else f" (the size of its lowest layer, {self._place(layers[0])})"

    def _place(self, layer: Mapping[str, Any]) -> str:
        return self._places.get(_reference(layer).get("media", ""), "generator.inputs.layers")


def _reference(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stored picture of a layer, which is one or holds one."""
    found = layer if is_media(layer) else layer.get("image")
    return found if isinstance(found, Mapping) else {}


def _size(layer: Mapping[str, Any]) -> Size | None:
    reference = _reference(layer)
    width, height = reference.get("width"), reference.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _shown(size: Size) -> str:
    return f"{size[0]} × {size[1]}"


def _places(collection: Collection) -> Iterator[tuple[str, str]]:
    """``(media, place in the document)`` of the picture of every option."""
    for placed in collection.placed:
        category = placed.category
        within = f"{placed.path}.images.items" if category.images else f"{placed.path}.options"
        for index, option in enumerate(category.choices):
            if isinstance(option.value, Mapping):
                file = str(_reference(option.value).get("name") or option.name)
                yield _reference(option.value).get("media", ""), f"{within}[{index}].value ({file})"

"""Adds the layers of all stages to one drawing and says what each stage leaves out.

Layers that carry the same trait name in different stages (a ``Hair`` for each
gender) become variants under one category, of which a stage allows its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

from cauldron.adapters.importers.choices import Folder
from cauldron.adapters.importers.drawing import Drawing, Trait
from cauldron.adapters.importers.layerplan import LayerUse, Stage, merge_layers
from cauldron.adapters.importers.names import Distinct, clean


class Layering:
    """The layers of ``stages`` in one order; ``folder_of`` reads the images of a layer."""

    def __init__(
        self, stages: Sequence[Stage], *, drawing: Drawing, folder_of: Callable[[LayerUse], Folder]
    ) -> None:
        self._stages = stages
        self._drawing = drawing
        self._folder_of = folder_of
        self._order, self._used = merge_layers(stages)
        self._none: list[dict[str, int]] = [{} for _ in stages]
        self._only: list[dict[str, list[str]]] = [{} for _ in stages]

    def draw(self) -> None:
        """Add every layer to the drawing."""
        hosts: dict[str, dict[str, Any]] = {}
        for index, use in enumerate(self._order):
            title = use.label or use.folder
            if len(self._sharing(title)) == 1 or not self._apart(title):
                self._add(index, use)
                continue
            if title not in hosts:
                hosts[title] = self._drawing.add_host(title)
                for number in self._without(self._sharing(title)):
                    self._none[number][hosts[title]["name"]] = 1
            self._add_variant(index, use, host=hosts[title])

    def sub_collections(self) -> list[dict[str, Any]]:
        """One per stage, with its size and limits; none when there is a single stage."""
        if len(self._stages) == 1:
            return []
        names = Distinct()
        found: list[dict[str, Any]] = []
        for number, stage in enumerate(self._stages):
            title = names.take(clean(stage.prefix, otherwise=f"Part {number + 1}"))
            entry: dict[str, Any] = {"name": title, "size": stage.size}
            entry |= {"none": self._none[number]} if self._none[number] else {}
            entry |= {"only": self._only[number]} if self._only[number] else {}
            found.append(entry)
        return found

    def _add(self, index: int, use: LayerUse) -> None:
        absent = self._without([index])
        for name in self._drawing.add(use.folder, self._folder_of(use), _trait(use, everywhere=not absent)):
            for number in absent:
                self._none[number][name] = 1

    def _add_variant(self, index: int, use: LayerUse, *, host: dict[str, Any]) -> None:
        option = self._drawing.add_variant(host, use.folder)
        among = option["categories"]
        self._drawing.add(use.folder, self._folder_of(use), _trait(use, everywhere=False), among=among)
        for number, used in enumerate(self._used):
            if index in used:
                self._only[number][host["name"]] = [option["name"]]

    def _sharing(self, title: str) -> list[int]:
        return [index for index, use in enumerate(self._order) if (use.label or use.folder) == title]

    def _apart(self, title: str) -> bool:
        """Whether no stage has two layers of this trait name."""
        sharing = set(self._sharing(title))
        return all(len(used & sharing) <= 1 for used in self._used)

    def _without(self, layers: list[int]) -> list[int]:
        """The stages that use none of these layers."""
        return [number for number, used in enumerate(self._used) if not used & set(layers)]


def _trait(use: LayerUse, *, everywhere: bool) -> Trait:
    return Trait(label=use.label, unique=use.unique, display_type=use.display_type, everywhere=everywhere)

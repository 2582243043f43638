"""Builds the categories of a collection and the layer list that draws them, in stacking order."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from cauldron.adapters.importers.blending import Style
from cauldron.adapters.importers.choices import Choice, Folder, Leaf, Picture
from cauldron.adapters.importers.findings import Notes
from cauldron.adapters.importers.layertree import shown, size_of
from cauldron.adapters.importers.names import Distinct, category_name, clean

RESERVED_CATEGORIES = ("tag",)  # has a meaning of its own in rules
MAX_LISTED_SIZES = 12
Z_PREFIX = re.compile(r"^z-?\d+,")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


class Locations:
    """Where the images of ``root`` are, as seen from the document ``out``.

    Images below the document's folder stay where they are; others are to be
    copied to ``<name of the document>-art`` beside it, listed in ``copies``.
    """

    def __init__(self, root: Path, *, out: Path) -> None:
        self._root = root.resolve()
        self._base = out.parent.resolve()
        self._art = f"{out.stem}-art"
        self._in_place = self._root.is_relative_to(self._base)
        self.copies: dict[str, Path] = {}
        self._targets: dict[Path, str] = {}

    def path(self, image: Path) -> str:
        """The image's path relative to the document, with forward slashes."""
        path = image.relative_to(self._base if self._in_place else self._root)
        if self._in_place and not _awkward(path):
            return path.as_posix()
        inside = f"renamed/{len(self.copies)}{image.suffix.lower()}" if _awkward(path) else path.as_posix()
        if image not in self._targets:
            self._targets[image] = f"{self._art}/{inside}"
            self.copies[self._targets[image]] = image
        return self._targets[image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """How a layer appears in metadata and uniqueness; ``everywhere``: in each sub-collection."""

    label: str = ""
    unique: bool = True
    display_type: str = ""
    everywhere: bool = True


@dataclass(slots=True, kw_only=True)
class Drawing:
    """A growing set of categories and the layers that draw them.

    ``called`` maps a name that rules may use to ``{category: [options]}``.
    """

    root: Path
    locations: Locations
    notes: Notes
    canvas: tuple[int, int] | None = None  # width and height in pixels; None: of most images
    crisp: bool = False  # images that are not of the canvas' size are enlarged without smoothing
    categories: list[dict[str, Any]] = field(default_factory=list)
    called: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _layers: list[tuple[int, dict[str, Any], list[Path]]] = field(default_factory=list)
    _names: Distinct = field(default_factory=lambda: Distinct(RESERVED_CATEGORIES))

    def add(
        self, name: str, folder: Folder, trait: Trait, *, among: list[dict[str, Any]] | None = None
    ) -> list[str]:
        """Add one layer, at the top or ``among`` nested ones; the names of the categories it became."""
        siblings = self.categories if among is None else among
        added: list[str] = []
        for picture in folder.always:
            if trait.everywhere:
                self._draw(self._value(picture), picture.z, picture.style, [picture.path])
            else:
                added.append(self._part(siblings, name, picture))
        for choice in folder.choices:
            own = trait if choice is folder.choice else Trait(unique=trait.unique)
            title = name if choice is folder.choice else choice.name
            added.append(self._category(siblings, title, choice, own))
        return added

    def add_host(self, title: str) -> dict[str, Any]:
        """Add a category that is no trait itself and whose options hold variants of a layer."""
        name = self._names.take(category_name(f"{title} kind"))
        host: dict[str, Any] = {"name": name, "unique": False, "metadata": False, "options": []}
        self.categories.append(host)
        return host

    def add_variant(self, host: dict[str, Any], name: str) -> dict[str, Any]:
        """Add an option to a host, with room for categories that only it has."""
        taken = Distinct(option["name"] for option in host["options"])
        option: dict[str, Any] = {"name": taken.take(clean(name)), "weight": 1, "categories": []}
        host["options"].append(option)
        return option

    def inputs(self) -> dict[str, Any]:
        """The inputs of ``layers.compose``: size and layers, the lowest first."""
        sizes = {path: size_of(path) for _, _, paths in self._layers for path in paths}
        for path in [path for path, size in sizes.items() if size is None]:
            self.notes.add(shown(path, self.root), "cannot be read as an image")
        counted = Counter(size for size in sizes.values() if size is not None)
        width, height = self.canvas or (counted.most_common(1)[0][0] if counted else (1024, 1024))
        entries = [_plain(entry) for _, entry, _ in sorted(self._layers, key=lambda layer: layer[0])]
        other_sizes = any(size not in (None, (width, height)) for size in sizes.values())
        scaling = {"fit": "stretch", **({"crisp": True} if self.crisp else {})} if other_sizes else {}
        return {"width": width, "height": height, **scaling, "layers": entries}

    def odd_sizes(self, canvas: tuple[int, int]) -> list[str]:
        """Images that are not of the canvas' size, as sentences; cut short after a dozen."""
        paths = dict.fromkeys(path for _, _, paths in self._layers for path in paths)
        sizes = ((path, size_of(path)) for path in paths)
        odd = [(path, size) for path, size in sizes if size is not None and size != canvas]
        lines = [f"{shown(path, self.root)} is {s[0]} × {s[1]}" for path, s in odd[:MAX_LISTED_SIZES]]
        return [*lines, f"and {len(odd) - len(lines)} more"] if len(odd) > len(lines) else lines

    def _draw(self, value: Any, z: int, style: Style, paths: list[Path]) -> None:
        entry = dict(value) if isinstance(value, dict) else {"image": value}
        if style.blend != "normal":
            entry["blend"] = style.blend
        if style.opacity != 1:
            entry["opacity"] = style.opacity
        self._layers.append((z, entry, paths))

    def _value(self, picture: Picture) -> dict[str, Any]:
        return {"image": self.locations.path(picture.path)}

    def _category(self, siblings: list[dict[str, Any]], title: str, choice: Choice, trait: Trait) -> str:
        """Add a category for ``choice`` among ``siblings``; returns its name."""
        name = self._names.take(category_name(title))
        category: dict[str, Any] = {"name": name}
        label = clean(trait.label or title)
        if label != name:
            category["label"] = label
        if choice.empty_weight:
            category["none"] = round(choice.empty_weight / choice.total_weight, 9)
        if not trait.unique:
            category["unique"] = False
        if trait.display_type:
            category["displayType"] = trait.display_type
        siblings.append(category)
        main = _main_layer(choice)
        if main is not None:
            paths = [
                picture.path for leaf in choice.leaves for picture in leaf.pictures if _on(picture, main)
            ]
            self._draw(f"[[{name}]]", main.z, main.style, paths)
        category["options"] = self._options(name, choice, main)
        return name

    def _options(self, category: str, choice: Choice, main: Picture | None) -> list[dict[str, Any]]:
        options: list[dict[str, Any]] = []
        names = Distinct()
        for leaf in choice.leaves:
            name = names.take(leaf.name)
            if name != leaf.name:
                self.notes.add(f"{category}: {leaf.name}", f"the name is taken; this one became {name!r}")
            for called in (*leaf.answers_to, name):
                in_category = self.called.setdefault(called, {}).setdefault(category, [])
                in_category += [name] if name not in in_category else []
            options.append(self._option(category, name, leaf, main))
        return options

    def _option(self, category: str, name: str, leaf: Leaf, main: Picture | None) -> dict[str, Any]:
        weight = round(leaf.weight, 9)
        option: dict[str, Any] = {"name": name, "weight": int(weight) if weight.is_integer() else weight}
        rest = list(leaf.pictures)
        if main is not None:
            first = next(picture for picture in rest if _on(picture, main))
            rest.remove(first)
            option["value"] = self._value(first)
        nested: list[dict[str, Any]] = []
        for picture in rest:
            self._part(nested, f"{category} {name}", picture)
        for choice in leaf.nested:
            self._category(nested, choice.name, choice, Trait())
        if nested:
            option["categories"] = nested
        return option

    def _part(self, siblings: list[dict[str, Any]], title: str, picture: Picture) -> str:
        """A category of one picture, drawn whenever what it stands in is; not a trait."""
        stem = category_name(Z_PREFIX.sub("", picture.path.stem))
        name = self._names.take(category_name(f"{title} {stem}"))
        option = {"name": stem, "weight": 1, "value": self._value(picture)}
        siblings.append({"name": name, "metadata": False, "unique": False, "options": [option]})
        self._draw(f"[[{name}]]", picture.z, picture.style, [picture.path])
        return name


def _awkward(path: PurePath) -> bool:
    """Whether a document cannot name this path: it looks like a placeholder, or has a reserved name."""
    return any("[[" in part or RESERVED.fullmatch(part) for part in path.parts)


def _plain(entry: dict[str, Any]) -> Any:
    """A layer with nothing but a placeholder, as that placeholder."""
    return entry["image"] if set(entry) == {"image"} and "[[" in entry["image"] else entry


def _main_layer(choice: Choice) -> Picture | None:
    """The layer on which every option has a picture; None when there is no such layer."""
    candidates = choice.leaves[0].pictures
    for candidate in candidates:
        if all(any(_on(picture, candidate) for picture in leaf.pictures) for leaf in choice.leaves):
            return candidate
    return None


def _on(picture: Picture, layer: Picture) -> bool:
    return picture.z == layer.z and picture.style == layer.style

"""Imports a configuration of nft-generator-py: one JSON file with layers, percentages, incompatibilities."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cauldron.adapters.importers.blending import Style
from cauldron.adapters.importers.choices import Choice, Folder, Leaf, Picture
from cauldron.adapters.importers.drawing import Drawing, Locations, Trait
from cauldron.adapters.importers.findings import Imported, Notes, combinations, imported
from cauldron.adapters.importers.names import clean, slug
from cauldron.adapters.importers.projectsettings import template
from cauldron.adapters.importers.settings import Settings
from cauldron.adapters.importers.settling import settle, usable_supply
from cauldron.adapters.importers.traitrules import RuleBook
from cauldron.domain.errors import Invalid, InvalidMany, NotFound, Problem
from cauldron.domain.strict_yaml import read_document

USUAL_SUPPLY = 100
MAX_WEIGHT = 1e12
IMAGE = ".png"  # left off in the configuration


def import_nft_generator(file: Path, *, out: Path) -> Imported:
    """The collection document of an nft-generator-py configuration.

    Images are looked for beside the configuration and must lie in its folder.

    Args:
        file: the JSON file.
        out: where the document will be written; image paths are relative to it.

    Raises:
        NotFound: there is no such file.
        Invalid: it is not such a configuration; InvalidMany for lists that do
            not match and images that are missing or elsewhere.
    """
    if not file.is_file():
        raise NotFound(f"{clean(str(file))}: there is no such file")
    return _Import(file, out=out).read()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clash:
    """``value`` of ``layer`` never appears beside ``others``; ``stand_in`` replaces them if given."""

    layer: str
    value: str
    others: tuple[str, ...]
    stand_in: Leaf | None
    place: str


class _Import:
    def __init__(self, file: Path, *, out: Path) -> None:
        self.name = file.name
        self.root = file.parent.resolve()
        self.notes = Notes()
        self.problems: list[Problem] = []
        values = read_document(file.read_bytes().decode("utf-8", "replace"), source=self.name)
        if not isinstance(values, dict) or not isinstance(values.get("layers"), list):
            raise Invalid(f"{self.name}: is no configuration of nft-generator-py: it has no list of layers")
        self.config = Settings(values, place="", notes=self.notes)
        self.locations = Locations(self.root, out=out)
        self.layers: dict[str, list[Leaf]] = {}

    def read(self) -> Imported:
        """The document and the notes."""
        for layer in self.config.objects("layers"):
            self._layer(layer)
        clashes = [self._clash(entry) for entry in self.config.objects("incompatibilities")]
        if self.problems:
            raise InvalidMany(self.problems, source=self.name)
        if not self.layers:
            raise Invalid(f"{self.name}: has no layers", source=self.name)
        replaced = [(clash, layer) for clash in clashes for layer in self._with_stand_in(clash)]
        drawing = Drawing(root=self.root, locations=self.locations, notes=self.notes)
        for name, leaves in self.layers.items():
            drawing.add(name, Folder(choice=Choice(name=name, leaves=tuple(leaves))), Trait())
        document = self._document(drawing, rules=self._rules(drawing, clashes, replaced))
        self.config.finish()
        settle(document, self.notes)
        document["supply"] = usable_supply(document, at_most=document["supply"])
        return imported(document, self.notes, copies=self.locations.copies)

    def _layer(self, settings: Settings) -> None:
        name = settings.text("name") or f"Layer {len(self.layers) + 1}"
        folder = settings.text("trait_path")
        values, files, weights = (settings.raw(key) for key in ("values", "filename", "weights"))
        settings.finish()
        if not all(isinstance(items, list) and items for items in (values, files, weights)):
            self._problem(
                settings.place, "missing", "needs values, filename and weights, lists that are not empty"
            )
            return
        if not len(values) == len(files) == len(weights):
            counts = f"{len(values)} values, {len(files)} filenames and {len(weights)} weights"
            self._problem(settings.place, "lengths_differ", f"has {counts}; they must be as many")
            return
        leaves = [
            self._leaf(name, entry, folder=folder, place=f"{settings.place}", index=index)
            for index, entry in enumerate(zip(values, files, weights, strict=True))
        ]
        total = sum(leaf.weight for leaf in leaves)
        if round(total, 2) != 100:
            settings.note("weights", f"add up to {total:g}, not 100; they count as relative weights")
        if name in self.layers:
            self._problem(f"{settings.place}.name", "duplicate", f"another layer is called {name!r}")
        self.layers[name] = leaves

    def _leaf(self, layer: str, entry: tuple[Any, Any, Any], *, folder: str, place: str, index: int) -> Leaf:
        value, file, weight = entry
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= MAX_WEIGHT:
            self._problem(
                f"{place}.weights[{index}]", "bad_weight", f"must be 0 or more, not {str(weight)[:40]}"
            )
            weight = 0
        if not isinstance(value, str):
            self._problem(f"{place}.values[{index}]", "wrong_type", f"must be text, not {str(value)[:40]}")
        picture = self._picture(f"{folder}/{file}", place=f"{place}.filename[{index}]")
        name = clean(str(value))
        called = frozenset({name, _scoped(layer, name)})
        return Leaf(name=name, weight=float(weight), pictures=picture, answers_to=called)

    def _picture(self, path: str, *, place: str) -> tuple[Picture, ...]:
        """The image of a path without its ending; a problem when it is missing or elsewhere."""
        file = self.root if "\0" in path else (self.root / f"{path}{IMAGE}").resolve()
        if file == self.root or not file.is_relative_to(self.root):
            self._problem(place, "outside", "lies outside the folder of the configuration")
        elif not file.is_file():
            self._problem(place, "no_file", f"there is no file {_printable(path + IMAGE)}")
        else:
            return (Picture(path=file, z=0, style=Style()),)
        return ()

    def _clash(self, settings: Settings) -> _Clash:
        layer, value = settings.text("layer"), clean(settings.text("value"))
        others = [clean(str(other)) for other in settings.raw("incompatible_with") or ()]
        if _scoped(layer, value) not in {
            name for leaf in self.layers.get(layer, ()) for name in leaf.answers_to
        }:
            self._problem(settings.place, "unknown_name", f"the layer {layer!r} has no value {value!r}")
        stand_in = settings.object("default") if settings.has("default") else None
        leaf = None
        if stand_in is not None:
            name = clean(stand_in.text("value"))
            picture = self._picture(stand_in.text("filename"), place=stand_in.where("filename"))
            leaf = Leaf(name=name, weight=0, pictures=picture, answers_to=frozenset({name}))
            stand_in.finish()
        settings.finish()
        return _Clash(layer=layer, value=value, others=tuple(others), stand_in=leaf, place=settings.place)

    def _with_stand_in(self, clash: _Clash) -> list[str]:
        """Add a clash's stand-in to the layers it acts on; their names.

        It gets the weight of the options it replaces and appears only beside the
        clashing value, so every value keeps the chance that the engine gives it.
        """
        found: list[str] = []
        for layer, leaves in self.layers.items():
            weight = sum(leaf.weight for leaf in leaves if leaf.name in clash.others)
            if clash.stand_in is None or layer == clash.layer or not weight:
                continue
            name = clash.stand_in.name
            if any(leaf.name == name for leaf in leaves):
                self.notes.add(
                    f"{clash.place}.default", f"{layer} has a value {name!r} already; drawn anew instead"
                )
                continue
            called = frozenset({_scoped(layer, name)})
            pictures = clash.stand_in.pictures
            leaves.append(Leaf(name=name, weight=weight, pictures=pictures, answers_to=called))
            found.append(layer)
        return found

    def _rules(
        self, drawing: Drawing, clashes: list[_Clash], replaced: list[tuple[_Clash, str]]
    ) -> list[dict[str, Any]]:
        book = RuleBook(drawing.called, notes=self.notes)
        for clash in clashes:
            key = _scoped(clash.layer, clash.value)
            book.excludes(key, clash.others, place=f"{clash.place}.incompatible_with")
        for clash, layer in replaced:
            if clash.stand_in is not None:
                companions = drawing.called[_scoped(clash.layer, clash.value)]
                for category, options in drawing.called[_scoped(layer, clash.stand_in.name)].items():
                    book.only_with(category, options[0], companions=companions, place=clash.place)
        return book.rules

    def _document(self, drawing: Drawing, *, rules: list[dict[str, Any]]) -> dict[str, Any]:
        title, description = self.config.text("name"), self.config.text("description")
        name = clean(title.rstrip("# "), otherwise=clean(self.root.name, otherwise="Collection"))
        metadata = {"name": f"{template(title) or name + ' #'}{{{{number}}}}"}
        if description:
            metadata["description"] = template(description)
        base_uri = self.config.text("baseURI")
        if base_uri not in ("", "."):
            metadata["baseUri"] = base_uri
        return {
            "cauldron": 1,
            "name": name,
            "slug": slug(name) or "collection",
            "supply": min(USUAL_SUPPLY, combinations(drawing.categories)),
            "generator": {"tool": "layers.compose", "inputs": drawing.inputs()},
            "categories": drawing.categories,
            **({"rules": rules} if rules else {}),
            "metadata": metadata,
        }

    def _problem(self, path: str, code: str, message: str) -> None:
        self.problems.append(Problem(path=path, code=code, message=message))


def _scoped(layer: str, value: str) -> str:
    return f"{layer}\0{value}"


def _printable(path: str) -> str:
    return "/".join(clean(part, otherwise="") for part in path.split("/"))

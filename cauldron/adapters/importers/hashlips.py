"""Imports a HashLips project, or one of its nftchef fork: layer folders and ``src/config.js``.

The configuration is read statically and never executed; what has no counterpart
here is listed, with its place and the reason.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cauldron.adapters.importers.blending import MODE_TABLE
from cauldron.adapters.importers.choices import Folder, Reading, nested_names, read_folder
from cauldron.adapters.importers.drawing import Drawing, Locations
from cauldron.adapters.importers.findings import Imported, Notes, imported
from cauldron.adapters.importers.jsconfig import Configuration, read_configuration
from cauldron.adapters.importers.jsvalues import JsValue
from cauldron.adapters.importers.layering import Layering
from cauldron.adapters.importers.layerplan import LayerUse, Stage, element_style, read_stages
from cauldron.adapters.importers.layertree import Element, LayerReader, is_blank, shown
from cauldron.adapters.importers.names import clean
from cauldron.adapters.importers.projectsettings import look_at_output, read_metadata, read_names
from cauldron.adapters.importers.settings import Settings
from cauldron.adapters.importers.settling import settle
from cauldron.adapters.importers.traitrules import RuleBook, add_forced
from cauldron.domain.errors import Invalid, NotFound

CONFIG_FILES = ("src/config.js", "src/config.cjs", "src/config.mjs", "config.js")
MAX_CONFIG_BYTES = 1_000_000
MAX_SIDE = 100_000  # pixels; what a configuration may say
MAX_CANVAS_SIDE = 4_096  # pixels; what layers.compose draws
NFTCHEF_ONLY = frozenset(
    {"incompatible", "forcedCombinations", "emptyLayerName", "traitValueOverrides", "useRootTraitType"}
)
SETTINGS = NFTCHEF_ONLY | {"layerConfigurations", "rarityDelimiter", "format", "background", "extraMetadata"}
BLANK_NAMES = frozenset({"none", "blank", "empty", "nothing", "transparent"})
KNOWN: dict[str, JsValue] = {
    "MODE": dict(MODE_TABLE),
    "blendMode": dict(MODE_TABLE),
    "NETWORK": {"eth": "eth", "sol": "sol"},
}


def import_hashlips(folder: Path, *, out: Path) -> Imported:
    """The collection document of a HashLips or nftchef project.

    Args:
        folder: the project, with ``src/config.js`` and ``layers/``.
        out: where the document will be written; image paths are relative to it.

    Raises:
        NotFound: there is no such project.
        Invalid: the configuration is not JavaScript, or names layers that do not
            exist or lie outside the project.
    """
    return _Project(folder, out=out).read()


class _Project:
    def __init__(self, folder: Path, *, out: Path) -> None:
        self.root = folder.resolve()
        self.notes = Notes()
        self.source, self.configuration = _configuration(self.root)
        self.config = Settings(self.configuration.values, place=f"{self.source}: ", notes=self.notes)
        self.nested = bool(NFTCHEF_ONLY & set(self.configuration.values))
        self.empty_name = self.config.text("emptyLayerName")
        self.names = _texts(self.config.object("traitValueOverrides"))
        self.locations = Locations(self.root, out=out)
        self.reader = LayerReader(
            self.root, delimiter=self.config.text("rarityDelimiter") or "#", notes=self.notes
        )

    def read(self) -> Imported:
        """The document and the notes."""
        stages = read_stages(self.config)
        if not stages:
            raise Invalid(f"{self.source}: layerConfigurations makes no pieces", source=self.source)
        prefixes = [stage.prefix for stage in stages]
        drawing = self._drawing()
        layering = Layering(stages, drawing=drawing, folder_of=self._folder)
        layering.draw()
        document = read_names(self.config, fallback=clean(self.root.name), prefixes=prefixes)
        inputs = drawing.inputs()
        document["supply"] = sum(stage.size for stage in stages)
        document["generator"] = {"tool": "layers.compose", "inputs": inputs}
        document["categories"] = drawing.categories
        if rules := self._rules(drawing):
            document["rules"] = rules
        if parts := layering.sub_collections():
            document["subCollections"] = parts
        document["metadata"] = read_metadata(self.config, name=document["name"], prefixes=prefixes)
        self._note_order(stages)
        look_at_output(self.config, inputs)
        self._note_what_was_not_followed()
        settle(document, self.notes)
        return imported(document, self.notes, copies=self.locations.copies)

    def _drawing(self) -> Drawing:
        size = self.config.object("format")
        width, height = (size.whole(key, low=1, high=MAX_SIDE) for key in ("width", "height"))
        crisp = size.has("smoothing") and not size.flag("smoothing")
        if width and height and max(width, height) > MAX_CANVAS_SIDE:
            scale = MAX_CANVAS_SIDE / max(width, height)
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
            self.config.note("format", f"is larger than pieces can be; {width} × {height} is used")
        size.finish()
        return Drawing(
            root=self.root,
            locations=self.locations,
            notes=self.notes,
            canvas=(width, height) if width and height else None,
            crisp=crisp,
        )

    def _folder(self, use: LayerUse) -> Folder:
        elements = self.reader.read(self._path(use))
        if not self.nested:
            elements = self._flat(elements)
        if not elements:
            raise Invalid(f"{use.place}.name: layers/{clean(use.folder)} has no images", source=self.source)
        labels = {name: sublayer.trait for name, sublayer in use.sublayers if sublayer.trait}
        reading = Reading(
            style_of=lambda element, style: element_style(element, style, use=use, settings=self.config),
            empty=self._is_empty,
            names=self.names,
            labels=labels,
        )
        folder = read_folder(use.folder, elements, style=use.style, z=0, reading=reading)
        for name, label in labels.items():
            if label not in nested_names(folder):
                self.notes.add(
                    f"{use.place}.sublayerOptions.{name}.trait",
                    "its images are options of the layer and keep the layer's trait name",
                )
        return folder

    def _path(self, use: LayerUse) -> Path:
        """The layer's folder. Raises Invalid when it is missing or outside ``layers/``."""
        layers = self.root / "layers"
        shown_name = clean(use.folder)
        safe = use.folder.strip("./ ") and not any(c in use.folder for c in "\0\\")
        path = (layers / use.folder).resolve() if safe else layers
        if path == layers or not path.is_relative_to(layers):
            raise Invalid(f"{use.place}.name: {shown_name!r} is no folder inside layers/", source=self.source)
        if not path.is_dir():
            raise Invalid(f"{use.place}.name: there is no folder layers/{shown_name}", source=self.source)
        return path

    def _flat(self, elements: list[Element]) -> list[Element]:
        """The images of a layer as HashLips sees them: no folders, a weight each."""
        for element in elements:
            if element.children is not None:
                self.notes.add(shown(element.path, self.root), "a folder inside a layer; HashLips reads none")
        return [
            replace(element, weight=1.0 if element.weight is None else element.weight)
            for element in elements
            if element.children is None
        ]

    def _is_empty(self, element: Element) -> bool:
        """Whether an image stands for having none: by the configured name, or blank and called so."""
        if self.empty_name:
            return element.name == self.empty_name and element.weight is not None
        return element.name.casefold() in BLANK_NAMES and is_blank(element.path)

    def _rules(self, drawing: Drawing) -> list[dict[str, Any]]:
        book = RuleBook(drawing.called, notes=self.notes)
        place = self.config.where("incompatible")
        for name, others in self.config.named_lists("incompatible"):
            book.excludes(name, others, place=f"{place}.{name}")
        forced = self.config.named_lists("forcedCombinations")
        add_forced(book, forced, drawing.categories, place=self.config.where("forcedCombinations"))
        return book.rules

    def _note_order(self, stages: list[Stage]) -> None:
        if not self.config.flag("shuffleLayerConfigurations") and len(stages) > 1:
            self.config.note(
                "shuffleLayerConfigurations",
                "the configurations are numbered mixed here, not one after the other",
            )

    def _note_what_was_not_followed(self) -> None:
        for statement in self.configuration.passed_over:
            self.notes.add(
                f"{self.source}:{statement.line}", f"this statement was not followed: {statement.text}"
            )
        exports = self.configuration.exports
        for name in self.configuration.constants:
            if exports and name not in exports and name in SETTINGS:
                self.notes.add(f"{self.source}: {name}", "is not exported, so it has no effect")


def _configuration(root: Path) -> tuple[str, Configuration]:
    """The name of the configuration file and what it says."""
    for name in CONFIG_FILES:
        path = root / name
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise Invalid(f"{name}: is a link to outside of the project", source=name)
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise Invalid(f"{name}: is larger than {MAX_CONFIG_BYTES} bytes", source=name)
        text = path.read_bytes().decode("utf-8", "replace")
        return name, read_configuration(text, name=name, known=KNOWN)
    raise NotFound(
        f"{root.name}: no src/config.js here; for plain folders of layers use cauldron init --from"
    )


def _texts(settings: Settings) -> dict[str, str]:
    return {name: text for name in settings.keys if (text := clean(settings.text(name), otherwise=""))}

"""Makes a collection of a plain folder of layer folders: one category per folder, one option per image."""

from dataclasses import replace
from pathlib import Path

from cauldron.adapters.importers.blending import Style
from cauldron.adapters.importers.choices import Reading, read_folder
from cauldron.adapters.importers.drawing import Drawing, Locations, Trait
from cauldron.adapters.importers.findings import Imported, Notes, combinations, imported
from cauldron.adapters.importers.layertree import Element, LayerReader, is_animated, is_blank, shown, size_of
from cauldron.adapters.importers.names import clean, slug, without_number
from cauldron.adapters.importers.settling import settle
from cauldron.domain.errors import Invalid, NotFound

USUAL_SUPPLY = 100
BLANK_NAMES = frozenset({"none", "blank", "empty", "nothing", "transparent"})
DELIMITER = "#"  # "Red#5.png" gives a weight here too


def import_folder(folder: Path, *, out: Path, name: str = "") -> Imported:
    """The collection document of a folder of layer folders.

    Folders are taken in natural order, the first one lowest; a leading number
    (``01_Sky``) gives the order and is left out of the name. Supply is 100, or
    every combination where there are fewer.

    Args:
        folder: holds one folder of images per layer.
        out: where the document will be written; image paths are relative to it.
        name: the collection's name; the folder's own when empty.

    Raises:
        NotFound: there is no such folder.
        Invalid: it has no folder with images.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotFound(f"{clean(str(folder))}: there is no such folder")
    notes = Notes()
    locations = Locations(root, out=out)
    drawing = Drawing(root=root, locations=locations, notes=notes)
    for layer in LayerReader(root, delimiter=DELIMITER, notes=notes).read(root):
        _add_layer(layer, drawing, root=root)
    if not drawing.categories:
        reason = "has no folders with images; make one folder per layer, with PNG images in it"
        raise Invalid(f"{clean(root.name)}: {reason}")
    title = clean(without_number(name or root.name), otherwise="Collection")
    inputs = drawing.inputs()
    for line in drawing.odd_sizes((inputs["width"], inputs["height"])):
        notes.add(f"stretched to {inputs['width']} × {inputs['height']}", line)
    document = {
        "cauldron": 1,
        "name": title,
        "slug": slug(title) or "collection",
        "supply": min(USUAL_SUPPLY, combinations(drawing.categories)),
        "generator": {"tool": "layers.compose", "inputs": inputs},
        "categories": drawing.categories,
        "metadata": {"name": "{{collection}} #{{number}}"},
    }
    settle(document, notes)
    return imported(document, notes, copies=locations.copies)


def _add_layer(layer: Element, drawing: Drawing, *, root: Path) -> None:
    place = shown(layer.path, root)
    if layer.children is None:
        drawing.notes.add(place, "stands beside the layer folders; put it into one")
        return
    for child in layer.children:
        if child.children is not None:
            drawing.notes.add(
                shown(child.path, root), "a folder inside a layer; only its parent's images are read"
            )
    files = [child for child in layer.children if child.children is None]
    images = [_option(file) for file in files if _readable(file, drawing, root=root)]
    if not images:
        drawing.notes.add(place, "has no images")
        return
    reading = Reading(style_of=lambda _, style: style, empty=_is_empty)
    title = clean(without_number(layer.path.name).replace("_", " "), otherwise="Layer")
    read = read_folder(title, images, style=Style(), z=0, reading=reading)
    if read.choice is None:
        drawing.notes.add(place, "has only images that show nothing")
        return
    drawing.add(title, read, Trait())


def _readable(image: Element, drawing: Drawing, *, root: Path) -> bool:
    """Whether there is a picture in a file; what is special about it is noted."""
    if not image.path.stat().st_size and _is_empty(image):
        return True
    if size_of(image.path) is None:
        drawing.notes.add(shown(image.path, root), "cannot be read as an image; left out")
        return False
    if is_animated(image.path):
        drawing.notes.add(shown(image.path, root), "moves; only its first picture is drawn")
    return True


def _option(image: Element) -> Element:
    """An image as an option: named without number and underscores, of weight 1 unless it says so."""
    name = clean(without_number(image.name).replace("_", " "), otherwise=image.name)
    return replace(image, name=name, weight=1.0 if image.weight is None else image.weight)


def _is_empty(image: Element) -> bool:
    return image.name.casefold() in BLANK_NAMES and is_blank(image.path)

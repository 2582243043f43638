"""The example collection that comes with the project, as something to begin with."""

from pathlib import Path

import cauldron
from cauldron.adapters.importers.findings import Imported, all_categories
from cauldron.domain.collection import media_paths
from cauldron.domain.errors import NotFound
from cauldron.domain.strict_yaml import read_document

EXAMPLE = "lantern-keepers"
DOCUMENT = "collection.yaml"


def import_example(*, places: tuple[Path, ...] = ()) -> Imported:
    """The example's document and files, to be copied beside ``out``.

    Args:
        places: folders to look in; absent: the package's own and the checkout's.

    Raises:
        NotFound: this installation came without the example.
    """
    return _example(example_folder(EXAMPLE, places=places))


def example_folder(name: str, *, places: tuple[Path, ...] = ()) -> Path:
    """The folder of a bundled example, in ``places`` or else beside the package or in the checkout.

    Raises:
        NotFound: this installation came without it.
    """
    package = Path(cauldron.__file__).parent
    for place in places or (package / "examples", package.parent / "examples"):
        if (place / name / DOCUMENT).is_file():
            return place / name
    raise NotFound(f"the example {name} is not part of this installation; it is in the source repository")


def _example(folder: Path) -> Imported:
    text = (folder / DOCUMENT).read_text(encoding="utf-8")
    document = read_document(text, source=DOCUMENT)
    files: dict[str, Path] = {}
    for _, name in media_paths(document):
        path = folder / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            files[file.relative_to(folder).as_posix()] = file
    every = list(all_categories(document["categories"]))
    return Imported(
        document=document,
        categories=len(every),
        options=sum(len(category.get("options", ())) for category in every),
        not_understood=[],
        copies=files,
        text=text,
    )

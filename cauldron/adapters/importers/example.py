"""The example collection that comes with the project, as something to begin with."""

from pathlib import Path

import cauldron
from cauldron.adapters.importers.findings import Imported, all_categories
from cauldron.domain.errors import NotFound
from cauldron.domain.strict_yaml import read_document

EXAMPLE = "lantern-keepers"
DOCUMENT = "collection.yaml"
LEFT_OUT = frozenset({"__pycache__", "contact-sheet.png"})


def import_example(*, places: tuple[Path, ...] = ()) -> Imported:
    """The example's document and files, to be copied beside ``out``.

    Args:
        places: folders to look in; absent: the package's own and the checkout's.

    Raises:
        NotFound: this installation came without the example.
    """
    package = Path(cauldron.__file__).parent
    for place in places or (package / "examples", package.parent / "examples"):
        folder = place / EXAMPLE
        if (folder / DOCUMENT).is_file():
            return _example(folder)
    raise NotFound(f"the example {EXAMPLE} is not part of this installation; it is in the source repository")


def _example(folder: Path) -> Imported:
    text = (folder / DOCUMENT).read_text(encoding="utf-8")
    document = read_document(text, source=DOCUMENT)
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != DOCUMENT and not LEFT_OUT & set(path.relative_to(folder).parts)
    }
    every = list(all_categories(document["categories"]))
    return Imported(
        document=document,
        categories=len(every),
        options=sum(len(category.get("options", ())) for category in every),
        not_understood=[],
        copies=files,
        text=text,
    )

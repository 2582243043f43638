"""Opening a studio for one command, and finding what a person named."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from cauldron.adapters.media_files import load
from cauldron.bootstrap import Studio, studio
from cauldron.config import load_settings
from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.strict_yaml import MAX_DOCUMENT_BYTES, read_document
from cauldron.log import set_up_logging
from cauldron.ports.storage import Doc

R = TypeVar("R")
DOCUMENT_SUFFIXES = (".yaml", ".yml", ".json")


def run(work: Callable[[Studio], Awaitable[R]]) -> R:
    """Do ``work`` with an open studio."""
    settings = load_settings()
    set_up_logging(settings.log_level)

    async def session() -> R:
        async with studio(settings) as app:
            return await work(app)

    return asyncio.run(session())


def read_file(path: Path) -> object:
    """A YAML or JSON document. Raises Invalid, naming file and line."""
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise Invalid(f"{path}: larger than {MAX_DOCUMENT_BYTES} bytes", path=str(path))
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file", path=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: cannot be read: {error}", path=str(path)) from error
    return read_document(text, source=str(path))


async def find_collection(app: Studio, text: str) -> Doc:
    """The collection that ``text`` names: a document on disk (stored anew), an id or a slug.

    Raises:
        NotFound: there is no such thing. Invalid: the document is malformed.
    """
    path = Path(text)
    if path.suffix.lower() not in DOCUMENT_SUFFIXES and not path.is_file():
        found = await app.collecting.find(text, caller=app.caller)
        if found is None:
            raise NotFound(f"there is no file, collection id or slug {text!r}")
        return found
    return await store_file(app, path)


async def store_file(app: Studio, path: Path) -> Doc:
    """Check a collection document, store its media, and keep it as a record."""
    document = read_mapping(path)
    _inline_spell(document, path)
    parse_collection(document, source=str(path))
    loaded = await load(document, base=path.absolute().parent, blobs=app.blobs)
    return await app.collecting.save(loaded, caller=app.caller)


def read_mapping(path: Path) -> dict[str, Any]:
    """A document that is an object at the top. Raises Invalid."""
    document = read_file(path)
    if not isinstance(document, dict):
        raise Invalid(f"{path}: must be an object at the top", path=str(path))
    return document


def _inline_spell(document: dict[str, Any], path: Path) -> None:
    """Put the spell document that a generator names as a file in its place."""
    generator = document.get("generator")
    name = generator.get("spell") if isinstance(generator, dict) else None
    if isinstance(generator, dict) and isinstance(name, str) and name.lower().endswith(DOCUMENT_SUFFIXES):
        spell = inside(path.absolute().parent, name)
        document["generator"] = {**generator, "spell": read_mapping(spell)}


def inside(folder: Path, name: str) -> Path:
    """``name`` as a file below ``folder``. Raises Invalid when it leads out of it."""
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise Invalid(f"{name}: leads out of {folder}", path=name)
    return target

"""Opening a studio for one command, and finding what a person named."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cauldron.adapters.documents import SUFFIXES, read_collection_file
from cauldron.adapters.media_files import load
from cauldron.bootstrap import Studio, studio
from cauldron.cli.progress import bar, is_live
from cauldron.config import load_settings
from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import InvalidMany, NotFound, Problem
from cauldron.domain.registry import UnknownTool, UnknownVersion
from cauldron.log import set_up_logging
from cauldron.ports.storage import Doc

R = TypeVar("R")


def run(work: Callable[[Studio], Awaitable[R]]) -> R:
    """Do ``work`` with an open studio."""
    settings = load_settings()
    set_up_logging(settings.log_level)

    async def session() -> R:
        async with studio(settings) as app:
            return await work(app)

    return asyncio.run(session())


async def find_collection(app: Studio, text: str) -> Doc:
    """The collection that ``text`` names: a document on disk (stored anew), an id or a slug.

    Raises:
        NotFound: there is no such thing. Invalid: the document is malformed.
    """
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES and not path.is_file():
        found = await app.collecting.find(text, caller=app.caller)
        if found is None:
            raise NotFound(f"there is no file, collection id or slug {text!r}")
        return found
    return await store_file(app, path)


async def store_file(app: Studio, path: Path) -> Doc:
    """Check a collection document, store its media, and keep it as a record."""
    document = read_collection_file(path)
    parse_collection(document, source=str(path))
    with naming(str(path)):
        with bar("reading pictures", quiet=not is_live()) as progress:
            loaded = await load(document, base=path.absolute().parent, blobs=app.blobs, progress=progress)
        return await app.collecting.save(loaded, caller=app.caller)


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Problems found in the block name ``source``, the file or id that a person gave."""
    try:
        yield
    except InvalidMany as error:
        if error.details.get("source"):
            raise
        raise InvalidMany(error.problems, source=source) from error
    except (UnknownTool, UnknownVersion) as error:
        raise InvalidMany(
            [Problem(path="generator", code=error.code, message=error.message)], source=source
        ) from error

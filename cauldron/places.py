"""Where store and blobs are: URLs of the settings become engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cauldron.adapters.fs import BlobFiles, FsBlobs
from cauldron.adapters.sqlite import SqliteStore
from cauldron.config import BLOBS, STORES, Settings, file_of, setting_error
from cauldron.domain.errors import Invalid, InvalidMany, Unavailable

if TYPE_CHECKING:
    from cauldron.adapters.mongo import MongoStore
    from cauldron.adapters.s3 import S3Blobs


def store_at(
    url: str, *, default: Path | None = None, synchronous: str = "FULL", name: str = "database_url"
) -> "SqliteStore | MongoStore":
    """The store that a URL names, not yet open; ``name`` is the setting it came from.

    Raises:
        InvalidMany: the URL is malformed; it is not repeated.
    """
    path = file_of(url, STORES, name=name, default=default)
    if path is not None:
        return SqliteStore(path, synchronous=synchronous)
    # Loaded when asked for: a driver is a third of a command's start.
    from cauldron.adapters.mongo import MongoStore  # noqa: PLC0415

    with naming(name):
        return MongoStore(url)


def blobs_at(url: str, settings: Settings, *, name: str = "blobs_url") -> "FsBlobs | S3Blobs":
    """The blob store that a URL names; copies of remote blobs go where the settings say.

    Raises:
        InvalidMany: the URL is malformed, or credentials are missing.
    """
    path = file_of(url, BLOBS, name=name, default=settings.home / "blobs")
    if path is not None:
        return FsBlobs(path)
    from cauldron.adapters.s3 import S3Blobs  # noqa: PLC0415 - only where it is used

    with naming(name):
        return S3Blobs(url, BlobFiles(settings.cache_path), cache_bytes=settings.blob_cache_bytes)


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """Failures of what a setting names are told with its name."""
    try:
        yield
    except InvalidMany:
        raise
    except Invalid as bad:
        raise setting_error(setting, bad.code, bad.message) from bad
    except Unavailable as away:
        raise type(away)(f"settings: {setting}: {away.message}", setting=setting) from away


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() else existing(path.absolute().parent)

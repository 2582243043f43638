"""Reading a collection document from disk: bounded, strict, with the spell it names as a file."""

from collections.abc import AsyncIterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.strict_yaml import MAX_DOCUMENT_BYTES, read_document

SUFFIXES = (".yaml", ".yml", ".json")


def read_mapping(path: Path) -> dict[str, Any]:
    """The YAML or JSON document in a file, which must be an object at the top.

    Aliases, tags, repeated keys and NaN are refused, and files over 4 MB.

    Raises:
        NotFound: no such file. Invalid: unreadable; names the file, the line and the reason.
    """
    document = read_document(_text_of(path), source=str(path))
    if not isinstance(document, dict):
        raise Invalid(f"{path}: must be an object at the top", source=str(path))
    return document


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "no such file"
            raise NotFound(f"{path}: {kind}", source=str(path))
        with path.open("rb") as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) > MAX_DOCUMENT_BYTES:
            raise Invalid(f"{path}: larger than {MAX_DOCUMENT_BYTES} bytes", source=str(path))
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Invalid(f"{path}: line {line}: is not UTF-8 text", source=str(path)) from error
    except (OSError, ValueError) as error:
        raise Invalid(f"{str(path)!r:.120}: cannot be read: {error}", source=str(path)) from error


def read_collection_file(path: Path) -> dict[str, Any]:
    """A collection document; a spell that its generator names as a file is put in its place.

    Raises:
        NotFound: no such file. Invalid: unreadable, or the spell lies outside the
            document's folder.
    """
    document = read_mapping(path)
    generator = document.get("generator")
    spell = generator.get("spell") if isinstance(generator, dict) else None
    if isinstance(generator, dict) and isinstance(spell, str) and spell.lower().endswith(SUFFIXES):
        folder = path.absolute().parent.resolve()
        try:
            target = (folder / spell).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise Invalid(f"{path}: generator.spell: {spell!r:.120} is no usable path") from error
        if not target.is_relative_to(folder):
            raise Invalid(f"{path}: generator.spell: {spell!r:.120} leads out of the document's folder")
        document["generator"] = {**generator, "spell": read_mapping(target)}
    return document


class Digests:
    """A blob store that keeps nothing: it only says what the digest of a content is."""

    _kept: tuple[str, ...] = ()

    async def put(self, data: bytes) -> str:
        """The digest of ``data``."""
        return sha256(data).hexdigest()

    async def put_file(self, path: Path) -> str:
        """The digest of a file's content."""
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    async def get(self, digest: str) -> bytes:
        """Nothing is kept. Raises NotFound."""
        raise NotFound(f"{digest} is not stored")

    async def local_path(self, digest: str) -> Path:
        """Nothing is kept. Raises NotFound."""
        raise NotFound(f"{digest} is not stored")

    async def size(self, digest: str) -> int | None:
        """Nothing is kept: None."""
        del digest
        return None

    async def list(self) -> AsyncIterator[tuple[str, int]]:
        """Nothing."""
        for digest in self._kept:
            yield digest, 0

    async def delete(self, digest: str) -> None:
        """Nothing to forget."""

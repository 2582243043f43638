"""Writes an imported document and the images it needs; nothing is left half-written."""

import errno
import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cauldron.adapters.importers.findings import Imported
from cauldron.domain.errors import Duplicate, StorageFull, Unavailable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(imported: Imported, out: Path, *, force: bool, progress: Callable[[int, int], None]) -> None:
    """Copy the images that are elsewhere, then write the document, which appears whole.

    Args:
        imported: what an importer gave back for ``out``.
        out: the document to write.
        force: replace a document that is there already, and images copied before.
        progress: called with (images copied, images in all) after each.

    Raises:
        Duplicate: ``out``, or an image with other content, is there already and
            ``force`` is not given.
        StorageFull: no room; the document was not written.
        Unavailable: the folder cannot be written to.
    """
    targets = {out.parent / name: source for name, source in imported.copies.items()}
    if not force:
        _refuse_existing(out, targets)
    with _told(out):
        for number, (target, source) in enumerate(targets.items(), 1):
            target.parent.mkdir(parents=True, exist_ok=True)
            with _appearing(target) as part:
                shutil.copyfile(source, part)
            progress(number, len(targets))
        out.parent.mkdir(parents=True, exist_ok=True)
        with _appearing(out) as part:
            part.write_text(imported.text or as_yaml(imported.document), encoding="utf-8")


def as_yaml(document: dict[str, Any]) -> str:
    """The document as YAML that reads back equal under the strict core schema."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Never writes aliases; quotes whatever the core schema would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"0o[0-7]+$"), ["0"])


def _refuse_existing(out: Path, targets: dict[Path, Path]) -> None:
    if os.path.lexists(out):
        raise Duplicate(f"{out}: is there already; --force replaces it", path=str(out))
    for target, source in targets.items():
        if os.path.lexists(target) and not _same(target, source):
            raise Duplicate(f"{target}: is there already with another content; --force replaces it")


def _same(target: Path, source: Path) -> bool:
    return target.is_file() and target.read_bytes() == source.read_bytes()


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` when all went well, and vanishes otherwise."""
    stem = f".{path.name[:80]}."
    for left in path.parent.glob(f"{glob.escape(stem)}*.part"):
        if not _is_alive(left.name.removeprefix(stem).removesuffix(".part")):
            left.unlink(missing_ok=True)
    part = path.with_name(f"{stem}{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _is_alive(pid: str) -> bool:
    """Whether a process of this number runs; only such a one still writes to its part."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Failures of the disk as errors of ours."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise StorageFull(f"{out.parent}: no room left; {out.name} was not written") from exc
        raise Unavailable(f"{out}: cannot be written: {exc.strerror}") from exc

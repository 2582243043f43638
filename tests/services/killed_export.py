"""Run by a test: exports that kill themselves before their n-th change to the disk.

Usage: killed_export.py FOLDER N [N …]; the export killed at N lies in FOLDER/out-N.
An N that is never reached leaves a finished export. Prints the changes a whole export makes.
"""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

from cauldron.adapters.contact_sheet import PillowSheet
from cauldron.adapters.directory import Directory
from cauldron.adapters.fs import FsBlobs
from cauldron.services.exporting import export
from tests.export_samples import SPEC, pieces

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


async def killed_at(change: int, *, blobs: FsBlobs, ready: list, out: Path) -> int:
    """Export until the ``change``-th change to the disk, then die; the changes seen otherwise."""
    seen = itertools.count(1)
    last = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal last
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_WRONLY
        if event in CHANGES or writes:
            last = next(seen)
            if last == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    await export(SPEC, ready, blobs=blobs, target=Directory(out, durable=False), sheet=PillowSheet())
    return last


async def prepared(folder: Path, count: int = 12) -> tuple[FsBlobs, list]:
    blobs = FsBlobs(folder / "blobs")
    return blobs, await pieces(blobs, count)


def main() -> None:
    folder = Path(sys.argv[1])
    asyncio.run(prepared(folder))
    for change in map(int, sys.argv[2:]):
        child = os.fork()
        if child == 0:
            asyncio.run(one(folder, change))
            os._exit(0)
        os.waitpid(child, 0)


async def one(folder: Path, change: int) -> None:
    blobs, ready = await prepared(folder)
    last = await killed_at(change, blobs=blobs, ready=ready, out=folder / f"out-{change}")
    print(last, flush=True)


if __name__ == "__main__":
    main()

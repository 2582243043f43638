"""One member process of the tool pool: reads calls on stdin, answers on stdout.

Run as ``python -m cauldron.member BLOBS_DIR``. Like ``bootstrap`` it may know
every class; it is kept apart so that a member loads only what tools need.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.local.registry import run_tool
from cauldron.domain.errors import CauldronError, InvalidMany
from cauldron.domain.media import MediaRef, digest_of
from cauldron.ports.tools import Produced


class StoredMedia:
    """A tool's view of the blob store."""

    def __init__(self, files: BlobFiles) -> None:
        self._files = files

    def read(self, ref: MediaRef) -> bytes:
        """The content. Raises NotFound."""
        return self._files.read(digest_of(ref))

    def path(self, ref: MediaRef) -> Path:
        """The stored file itself, read-only. Raises NotFound."""
        return self._files.path(digest_of(ref))


def answer(request: Mapping[str, Any], files: BlobFiles) -> dict[str, Any]:
    """Run one call; what goes wrong becomes ``{error: {code, message, retryable}}``."""
    start = time.monotonic_ns()
    try:
        produced = run_tool(request["tool"], request["inputs"], StoredMedia(files))
        body: dict[str, Any] = {"outputs": store(produced, files)}
    except InvalidMany as bad:
        problem = bad.problems[0]
        body = _error("invalid_inputs", f"{problem.path}: {problem.message}")
    except CauldronError as error:
        retryable = error.code in ("unavailable", "storage_full")
        body = _error(error.code, error.message, retryable=retryable)
    except MemoryError:
        body = _error("out_of_memory", "the tool needs more memory than there is")
    except Exception as error:
        body = _error("tool_error", f"{type(error).__name__}: {error}"[:500])
    return body | {"ms": (time.monotonic_ns() - start) // 1_000_000}


def _error(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "retryable": retryable}}


def store(produced: Sequence[Produced], files: BlobFiles) -> dict[str, Any]:
    """Make outputs durable: bytes become media references, values stay values."""
    outputs: dict[str, Any] = {}
    for item in produced:
        if item.data is None:
            outputs[item.port] = item.value
            continue
        digest = files.put_bytes(item.data)
        ref = {"media": f"sha256:{digest}", "mime": item.mime, "sizeBytes": len(item.data)}
        if item.width and item.height:
            ref |= {"width": item.width, "height": item.height}
        outputs[item.port] = ref
    return outputs


def _frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    return stream.read(int.from_bytes(head, "big")) if len(head) == 4 else None


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    """Serve until stdin ends."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    files = BlobFiles(Path(sys.argv[1]))
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not tear a frame
    while (body := _frame(calls)) is not None:
        reply = orjson.dumps(answer(orjson.loads(body), files))
        answers.write(len(reply).to_bytes(4, "big") + reply)
        answers.flush()


if __name__ == "__main__":
    main()

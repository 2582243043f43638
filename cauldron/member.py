"""One member process of the tool pool: reads calls on stdin, answers on stdout, in order.

Run as ``python -m cauldron.member BLOBS_DIR``. Like ``bootstrap`` it may know
every class; it is kept apart so that a member loads only what tools need. What a
tool made is stored by a second thread while the next call runs: waiting for the
disk takes as long as drawing.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import orjson

from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.local.registry import run_tool
from cauldron.domain.errors import CauldronError, InvalidMany
from cauldron.domain.media import MediaRef, digest_of
from cauldron.ports.tools import Produced

T = TypeVar("T")


class Made(NamedTuple):
    """What a call has produced, or why it failed, and how long it took."""

    produced: Sequence[Produced]
    failure: dict[str, Any] | None
    ns: int


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


def run(request: Mapping[str, Any], files: BlobFiles) -> Made:
    """Run one call."""
    start = time.monotonic_ns()
    produced, failure = _caught(lambda: run_tool(request["tool"], request["inputs"], StoredMedia(files)))
    return Made(produced or (), failure, time.monotonic_ns() - start)


def answer(made: Made, files: BlobFiles) -> dict[str, Any]:
    """What a call made, stored; what went wrong becomes ``{error: {code, message, retryable}}``."""
    start, failure = time.monotonic_ns(), made.failure
    outputs: dict[str, Any] | None = None
    if failure is None:
        outputs, failure = _caught(lambda: store(made.produced, files))
    body: dict[str, Any] = failure if failure is not None else {"outputs": outputs}
    return body | {"ms": (made.ns + time.monotonic_ns() - start) // 1_000_000}


def _caught(work: Callable[[], T]) -> tuple[T | None, dict[str, Any] | None]:
    """The result, or the error to answer with."""
    try:
        return work(), None
    except InvalidMany as bad:
        problem = bad.problems[0]
        return None, _error("invalid_inputs", f"{problem.path}: {problem.message}")
    except CauldronError as error:
        retryable = error.code in ("unavailable", "storage_full")
        return None, _error(error.code, error.message, retryable=retryable)
    except MemoryError:
        return None, _error("out_of_memory", "the tool needs more memory than there is")
    except Exception as error:
        return None, _error("tool_error", f"{type(error).__name__}: {error}"[:500])


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

    def reply(made: Made) -> None:
        try:
            body = orjson.dumps(answer(made, files))
            answers.write(len(body).to_bytes(4, "big") + body)
            answers.flush()
        except BaseException:  # nobody would learn of it: end, and the pool takes the calls back
            os._exit(1)

    with ThreadPoolExecutor(1) as storing:
        while (body := _frame(calls)) is not None:
            storing.submit(reply, run(orjson.loads(body), files))


if __name__ == "__main__":
    main()

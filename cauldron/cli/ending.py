"""How a command ends whatever happens: with one sentence, never with a stack on somebody's terminal."""

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cauldron.cli.output import REFUSED, talk


@contextmanager
def ended_well() -> Iterator[None]:
    """Run a command; what nobody foresaw is told in a sentence, and where the details are.

    Characters that the terminal cannot show are replaced. Where stderr is no terminal,
    a log is likely behind it: there the stack is written out.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # the real streams, of this process
    try:
        yield
    except BrokenPipeError:
        _hush()
        sys.exit(REFUSED)
    except OSError as error:
        talk.print(f"it cannot go on: {error}", style="red", markup=False, soft_wrap=True)
        _hush()
        sys.exit(REFUSED)
    except Exception as error:
        _tell(error)
        sys.exit(REFUSED)
    finally:
        _flush()


def _tell(error: Exception) -> None:
    """The defect in a sentence; its stack goes to a file, or to the log that stderr is."""
    if not sys.stderr.isatty():
        traceback.print_exception(error)
        return
    with tempfile.NamedTemporaryFile("w", prefix="cauldron-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    said = f"this is a defect of Cauldron ({type(error).__name__}: {error}); please report {file.name}"
    talk.print(said, style="red", markup=False, soft_wrap=True)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # told already, or nobody reads it any more
        _hush()


def _hush() -> None:
    """Let nothing more be written to a stdout that does not take it: leaving would fail over it."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

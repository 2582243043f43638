"""Log lines: one JSON object each on stderr, or readable text at a terminal."""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable

import orjson
import structlog
from structlog.typing import EventDict

MOST_LINES = 1000  # different warnings remembered


class _StandardError(io.StringIO):
    """Whatever ``sys.stderr`` is at the moment of writing: it may be replaced, or closed."""

    def write(self, text: str) -> int:
        with contextlib.suppress(ValueError):  # closed: there is nobody to tell
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(ValueError):
            sys.stderr.flush()


class Repeats:
    """Says a warning or error that comes again and again once per ``every_s``, and how often it came.

    A full disk fails a dozen loops every second; one line of each is enough.
    """

    def __init__(self, *, every_s: float = 30.0, now: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._now = now
        self._said: dict[str, tuple[float, int]] = {}  # line -> (when, left out since)

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """A structlog processor. Raises DropEvent for what was said a moment ago."""
        if event.get("level") not in ("warning", "error"):
            return event
        line = repr(sorted(event.items(), key=lambda pair: pair[0]))
        now = self._now()
        when, left_out = self._said.get(line, (now - self._every_s, 0))
        if now - when < self._every_s:
            self._said[line] = (when, left_out + 1)
            raise structlog.DropEvent
        if len(self._said) >= MOST_LINES:
            self._said.clear()
        self._said[line] = (now, 0)
        return {**event, "repeated": left_out} if left_out else event


def _json(event: object, **more: object) -> str:
    """One line; what JSON has no form for is shown as Python would."""
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def set_up_logging(level: str) -> None:
    """Send log lines of at least ``level`` to stderr."""
    at_terminal = sys.stderr.isatty()
    renderer = (
        structlog.dev.ConsoleRenderer(colors=at_terminal)
        if at_terminal
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Repeats(),
            structlog.processors.TimeStamper(fmt="iso", key="at", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(_StandardError()),
        cache_logger_on_first_use=True,
    )

"""Log lines: one JSON object each on stderr, or readable text at a terminal."""

import contextlib
import io
import logging
import sys

import structlog


class _StandardError(io.StringIO):
    """Whatever ``sys.stderr`` is at the moment of writing: it may be replaced, or closed."""

    def write(self, text: str) -> int:
        with contextlib.suppress(ValueError):  # closed: there is nobody to tell
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(ValueError):
            sys.stderr.flush()


def set_up_logging(level: str) -> None:
    """Send log lines of at least ``level`` to stderr."""
    at_terminal = sys.stderr.isatty()
    renderer = (
        structlog.dev.ConsoleRenderer(colors=at_terminal)
        if at_terminal
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="at", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),
        cache_logger_on_first_use=True,
    )

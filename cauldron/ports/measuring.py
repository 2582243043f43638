"""Where counts and durations go."""

from collections.abc import Callable
from typing import Protocol

Read = Callable[[], float]


class Metrics(Protocol):
    """Takes measurements of the metrics that ``domain.metrics`` declares; others are a KeyError."""

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Raise a counter."""
        ...

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Say what a gauge is."""
        ...

    def observe(self, name: str, seconds: float, /, **labels: str) -> None:
        """Put a duration into a histogram."""
        ...

    def reading(self, name: str, read: Read, /) -> None:
        """Let a gauge without labels be read when somebody looks."""
        ...

    def exposition(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        ...

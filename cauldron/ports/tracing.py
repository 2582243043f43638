"""Where spans go: how long something took, and what it was part of."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Tracer(Protocol):
    """Opens spans; one that is opened inside another is its child."""

    def span(self, name: str, /, **attributes: str | int | float) -> AbstractContextManager[object]:
        """A span around a block."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class Untraced:
    """Nobody listens."""

    def span(self, name: str, /, **attributes: str | int | float) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def close(self) -> None:
        """Nothing."""

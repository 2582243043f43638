"""Hashing of passwords: slow on purpose, so it runs beside the loop and never on it."""

from typing import Protocol


class Passwords(Protocol):
    """Guarantees: (1) a call never blocks the event loop; (2) at most a few run at once; (3) a check
    takes as long when there is no hash to check against as when there is one."""

    async def hash(self, password: str) -> str:
        """The hash to keep. Raises Unavailable: too many wait already."""
        ...

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether ``password`` made the hash ``kept``; with None it never did. Raises Unavailable."""
        ...

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other costs than today's."""
        ...

    async def close(self) -> None:
        """Wait for what runs."""
        ...

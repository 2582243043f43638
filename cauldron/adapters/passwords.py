"""Argon2id (RFC 9106) in threads of its own, two at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from cauldron.domain.errors import Unavailable

AT_ONCE = 2  # each takes 64 MiB and a core for a tenth of a second
MOST_WAITING = 64
R = TypeVar("R")


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


@dataclass(slots=True)
class Argon2Passwords:
    """Implements the ``Passwords`` port."""

    memory_kib: int = 64 * 1024
    passes: int = 3
    _threads: ThreadPoolExecutor = field(default_factory=_pool)
    _hasher: PasswordHasher = field(init=False)
    _stand_in: str | None = None  # the hash that a password is checked against when there is none
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=self.passes, memory_cost=self.memory_kib, parallelism=1, type=Type.ID
        )

    async def hash(self, password: str) -> str:
        """See the port."""
        return await self._beside(lambda: self._hasher.hash(password))

    async def matches(self, password: str, kept: str | None) -> bool:
        """See the port."""
        return await self._beside(lambda: self._matches(password, kept))

    def is_outdated(self, kept: str) -> bool:
        """See the port."""
        return self._hasher.check_needs_rehash(kept)

    async def close(self) -> None:
        """See the port."""
        await asyncio.to_thread(self._threads.shutdown)

    def _matches(self, password: str, kept: str | None) -> bool:
        if self._stand_in is None:  # made before it is needed, so that no answer takes longer for it
            self._stand_in = self._hasher.hash("nobody has this password")
        try:
            self._hasher.verify(kept or self._stand_in, password)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    async def _beside(self, work: Callable[[], R]) -> R:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("too many people sign in at once: try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

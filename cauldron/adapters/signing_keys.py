"""Signing keys in a folder of the data directory: a file per key, made anew every month."""

import os
import secrets
from pathlib import Path

from cauldron.domain.errors import Unavailable
from cauldron.ports.signing import SigningKey
from cauldron.ports.system import Clock

KEY_BYTES = 48
FRESH_MS = 30 * 86_400_000  # then another one is made
KEPT = 3  # keys; what was signed by an older one has long expired
SUFFIX = ".key"


class FolderKeyring:
    """A Keyring over ``folder``. Files are named by the instant they were made at, and never changed."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[str, bytes] = {}

    def newest(self) -> SigningKey:
        """The key to sign with; made when there is none, or none that is fresh.

        Raises:
            Unavailable: the folder cannot be read or written.
        """
        now = self._clock()
        try:
            names = self._names()
            if not names or now - int(names[-1].split("-")[0]) >= FRESH_MS:
                self._make(now)
                names = self._names()
            name = names[-1]
            return SigningKey(name, self._read(name))
        except OSError as error:
            raise Unavailable(f"signing keys: {error.strerror}") from error

    def named(self, name: str) -> SigningKey | None:
        """A key that tokens may still be signed with."""
        try:
            if name not in self._names():
                return None
            return SigningKey(name, self._read(name))
        except OSError as error:
            raise Unavailable(f"signing keys: {error.strerror}") from error

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        found = sorted(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))
        return [name for name in found if name.split("-")[0].isdigit()][-KEPT:]

    def _make(self, now: int) -> None:
        """A new key, complete before it has its name; of two made at once both are good."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{now:015d}-{secrets.token_hex(4)}"
        beside = self._folder / f".{name}"
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._folder / f"{name}{SUFFIX}")

    def _read(self, name: str) -> bytes:
        if name not in self._known:
            self._known[name] = (self._folder / f"{name}{SUFFIX}").read_bytes()
        return self._known[name]

"""Keys that tokens are signed with: they change, and old ones stay known for a while."""

from typing import NamedTuple, Protocol


class SigningKey(NamedTuple):
    """A secret of at least 32 bytes and its name."""

    name: str
    secret: bytes


class Keyring(Protocol):
    """Signing keys.

    Guarantees: (1) every process of one place sees the same keys; (2) a key that was
    ever the newest is found by its name for at least as long as a token lives.
    """

    def newest(self) -> SigningKey: ...

    def named(self, name: str) -> SigningKey | None: ...

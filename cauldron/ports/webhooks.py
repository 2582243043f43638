"""What carries a message to an address that somebody else has given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address in parts. ``path`` has its query; ``host`` is lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"


class WebhookSender(Protocol):
    """Sends one message over HTTP.

    Guarantees: (1) every address that the host leads to is checked before a
    connection is made, and the connection goes to a checked one; (2) redirects are
    not followed; (3) no more than a little of the answer is read, and it ends in
    time whatever the other side does.
    """

    async def send(self, target: Target, *, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer.

        Raises:
            Invalid: the address may not be gone to. Unavailable: no answer.
        """
        ...

"""What carries a message to an address that somebody else has given."""

from collections.abc import Mapping
from typing import Protocol


class WebhookSender(Protocol):
    """Sends one message over HTTP.

    Guarantees: (1) every address that the host leads to is checked before a
    connection is made, and the connection goes to a checked one; (2) redirects are
    not followed; (3) no more than a little of the answer is read, and it ends in
    time whatever the other side does.
    """

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer.

        Raises:
            Invalid: the address may not be gone to. Unavailable: no answer.
        """
        ...

    async def close(self) -> None: ...

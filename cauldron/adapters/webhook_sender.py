"""Messages to addresses from strangers: looked up once, checked, and connected to as checked."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping

import httpx2

from cauldron.domain.errors import Invalid, Unavailable
from cauldron.ports.webhooks import Target

TIME_S = 20.0  # for everything together
CONNECT_S = 10.0
READ_BYTES = 16 * 1024  # of an answer: nobody looks at it
MOST_ADDRESSES = 16


class CheckedSender:
    """The ``WebhookSender`` port. ``admits(address, host)`` says whether an address may be gone to."""

    def __init__(self, admits: Callable[[str, str], bool], *, time_s: float = TIME_S) -> None:
        self._admits = admits
        self._time_s = time_s
        self._tls: ssl.SSLContext | None = None

    async def send(self, target: Target, *, headers: Mapping[str, str], body: bytes) -> int:
        """See the port."""
        try:
            async with asyncio.timeout(self._time_s):
                address = await self._address(target)
                return await self._post(target, address, headers=headers, body=body)
        except TimeoutError as late:
            raise Unavailable(f"no answer within {self._time_s:g} s") from late
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as failed:
            raise Unavailable(f"no answer: {type(failed).__name__}") from failed

    async def _address(self, target: Target) -> str:
        """A checked address of the host. Raises Invalid when any of them may not be gone to."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as unknown:
            raise Unavailable("the host is not known") from unknown
        addresses = [str(entry[4][0]) for entry in found][:MOST_ADDRESSES]
        if not addresses or not all(self._admits(address, target.host) for address in addresses):
            raise Invalid("the host leads to an address that is not public")
        return addresses[0]

    async def _post(self, target: Target, address: str, *, headers: Mapping[str, str], body: bytes) -> int:
        literal = f"[{address}]" if ":" in address else address
        url = f"{target.scheme}://{literal}:{target.port}{target.path}"
        sent = {**headers, "host": target.authority, "accept-encoding": "identity"}
        async with (
            httpx2.AsyncClient(
                verify=self._context(),
                trust_env=False,
                follow_redirects=False,
                timeout=httpx2.Timeout(self._time_s, connect=CONNECT_S),
            ) as client,
            client.stream(
                "POST", url, headers=sent, content=body, extensions={"sni_hostname": target.host}
            ) as answer,
        ):
            read = 0
            async for chunk in answer.aiter_raw():
                read += len(chunk)
                if read > READ_BYTES:
                    break
            return int(answer.status_code)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

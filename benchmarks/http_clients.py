"""The client process of :mod:`benchmarks.http`: requests over kept connections, one by one on each."""

import asyncio
import random
import re
import sys
import time
from typing import cast

import orjson
import uvloop

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Asks, waits, asks again; the time of each answer goes to ``took_us``."""

    def __init__(self, ask: "Asking") -> None:
        self._ask = ask
        self._rest = b""
        self._began = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        request = self._ask.request()
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter_ns()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer, or a part of one."""
        self._rest += data
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            return
        found = LENGTH.search(self._rest, 0, end)
        if found is None or len(self._rest) < end + 4 + int(found.group(1)):
            return
        if not self._rest.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not 200: {self._rest[:600]!r}")
        self._ask.took_us.append((time.perf_counter_ns() - self._began) // 1000)
        self._ask.answered_at = time.monotonic()
        self._rest = b""
        self._next()


class Asking:
    """What is asked, until the time is over."""

    def __init__(self, kind: str, cook: str, *, pieces: int, seconds: float) -> None:
        self.took_us: list[int] = []
        self.answered_at = time.monotonic()
        self._kind, self._cook, self._pieces = kind, cook, pieces
        self._until = time.monotonic() + seconds
        self._reviewed = 0
        self._rng = random.Random(1)

    def request(self) -> bytes | None:
        """The next request; None at the end."""
        if time.monotonic() > self._until or self._reviewed + 50 > self._pieces:
            return None
        if self._kind == "status":
            return _get(f"/api/v1/cooks/{self._cook}/status")
        if self._kind == "page":
            first = self._rng.randrange(1, self._pieces - 100)
            return _get(f"/api/v1/cooks/{self._cook}/pieces?limit=100&from={first}")
        numbers = range(self._reviewed + 1, self._reviewed + 51)
        self._reviewed += 50
        items = [{"pieceId": f"{self._cook}.{n}", "decision": "approve"} for n in numbers]
        body = orjson.dumps({"items": items})
        head = "POST /api/v1/pieces/bulk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def main(port: int, kind: str, cook: str, *, pieces: int, connections: int, seconds: float) -> None:
    """Told on standard output: requests a second, and the times of answers."""
    loop, asking = asyncio.get_running_loop(), Asking(kind, cook, pieces=pieces, seconds=seconds)
    began = time.monotonic()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(asking), "127.0.0.1", port)
    await asyncio.sleep(seconds + 0.5)
    took, times = asking.answered_at - began, sorted(asking.took_us)
    told = {
        "perSecond": len(times) / took,
        "p50Ms": times[len(times) // 2] / 1000,
        "p99Ms": times[len(times) * 99 // 100] / 1000,
        "answers": len(times),
    }
    print(orjson.dumps(told).decode(), flush=True)


if __name__ == "__main__":
    to, what, of, most, wide, long = sys.argv[1:]
    uvloop.run(main(int(to), what, of, pieces=int(most), connections=int(wide), seconds=float(long)))

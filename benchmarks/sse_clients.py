"""The other two processes of :mod:`benchmarks.sse`: thousands of clients, and who writes the log."""

import asyncio
import os
import re
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import cast

import orjson
import uvloop

from benchmarks.sse_servers import allow_files
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain import codec
from cauldron.domain.events import Event
from cauldron.persistence.tables import COOK_EVENTS
from cauldron.ports.storage import Insert

AT_ONCE = 200  # connections that are being opened
INSTANT = re.compile(rb"at=(\d+)")  # nanoseconds of the machine's monotonic clock
TICK_S = 0.01


class Client(asyncio.Protocol):
    """Counts the events of one stream and how old each one is."""

    def __init__(self, path: str, all_clients: "Clients") -> None:
        self._path, self._all = path, all_clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        request = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        cast(asyncio.Transport, transport).write(request.encode())

    def data_received(self, data: bytes) -> None:
        """An event has one instant; a chunk is small enough to come whole."""
        if not self._all.counting:
            if data.startswith(b"HTTP/1.1 200"):
                self._all.open += 1
            return
        now = time.monotonic_ns()
        for text in INSTANT.findall(data):
            self._all.ages_us.append((now - int(text)) // 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server ended it."""
        self._all.lost += 1


class Clients:
    """What all clients of a process share."""

    def __init__(self) -> None:
        self.open = self.lost = 0
        self.counting = False
        self.ages_us = array("q")


async def read(port: int, *, clients: int, topics: int, seconds: float) -> None:
    """Open the streams, then count for a while; told on standard output as one line of JSON."""
    loop, shared = asyncio.get_running_loop(), Clients()
    gate, began = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def connect(n: int) -> None:
        async with gate:
            path = f"/api/v1/cooks/c{n % topics}/stream"
            await loop.create_connection(lambda: Client(path, shared), "127.0.0.1", port)

    await asyncio.gather(*(connect(n) for n in range(clients)))
    while shared.open < clients and time.monotonic() - began < 120:
        await asyncio.sleep(0.05)
    connected_s = time.monotonic() - began
    print(orjson.dumps({"open": shared.open, "connectedS": connected_s}).decode(), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # until the log is being written
    shared.counting = True
    start = time.monotonic()
    await asyncio.sleep(seconds)
    shared.counting = False
    took, ages = time.monotonic() - start, sorted(shared.ages_us)
    told = {
        "delivered": len(ages),
        "perSecond": len(ages) / took,
        "p50Ms": ages[len(ages) // 2] / 1000 if ages else 0,
        "p99Ms": ages[len(ages) * 99 // 100] / 1000 if ages else 0,
        "maxMs": ages[-1] / 1000 if ages else 0,
        "lost": shared.lost,
    }
    print(orjson.dumps(told).decode(), flush=True)


async def write(home: Path, *, topics: int, per_s: float, seconds: float) -> None:
    """Commits to every topic in turn, evenly spread over time, as several workers would."""
    url = os.environ.get("BENCH_DATABASE_URL", "")
    studio = Studio(Settings(home=home, processes=1, synchronous="NORMAL", database_url=url))
    await studio.open()
    store = studio.store
    seqs = [2] * topics
    for n in range(topics):
        [newest] = await store.find(COOK_EVENTS, {"stream": f"cook:c{n}"}, order=("-seq",), limit=1)
        seqs[n] = newest["seq"]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    start, done = time.monotonic(), 0
    while (now := time.monotonic()) - start < seconds:
        due = int((now - start) * per_s * topics)
        commits = [_commit(n % topics, seqs) for n in range(done, due)]
        done = due
        if commits:
            await store.commit([Insert(COOK_EVENTS, commit) for commit in commits], atomic=False)
        await asyncio.sleep(TICK_S)
    print(orjson.dumps({"commits": done, "seconds": time.monotonic() - start}).decode(), flush=True)
    await studio.close()


def _commit(topic: int, seqs: list[int]) -> dict[str, object]:
    seqs[topic] += 1
    stream, seq = f"cook:c{topic}", seqs[topic]
    data = {"decision": "approved", "pieces": [[1, 3]], "reason": f"at={time.monotonic_ns()}"}
    return codec.pack(
        codec.commit_document(
            stream, seq, keys=[f"bench:{stream}:{seq}"], events=[(0, Event("PiecesReviewed", data))],
            actor="bench", ts=time.time_ns() // 1_000_000,
        )
    )  # fmt: skip


async def stall(port: int, clients: int, seconds: float) -> None:
    """Clients that ask for twenty busy streams on one connection and never read them."""
    topics = ",".join(f"cook:c{n}" for n in range(20))
    request = f"GET /api/v1/events?topics={topics} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    idle = []
    for _ in range(clients):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", port))
        peer.sendall(request)
        idle.append(peer)
    print("ready", flush=True)
    await asyncio.sleep(seconds)


if __name__ == "__main__":
    allow_files()
    name, *rest = sys.argv[1:]
    if name == "read":
        uvloop.run(read(int(rest[0]), clients=int(rest[1]), topics=int(rest[2]), seconds=float(rest[3])))
    elif name == "write":
        uvloop.run(write(Path(rest[0]), topics=int(rest[1]), per_s=float(rest[2]), seconds=float(rest[3])))
    else:
        uvloop.run(stall(int(rest[0]), int(rest[1]), float(rest[2])))

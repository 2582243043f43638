"""A real mongod for tests: a replica set of one node or three, on loopback, gone with this process.

The program comes from the wheel of the ``mongo-test`` group; elsewhere ``MONGOD`` names it or ``PATH``
finds it. Without one a test is skipped aloud, and fails where ``CI`` or ``REQUIRE_MONGO`` is set.
"""

import atexit
import contextlib
import ctypes
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError, WTimeoutError

from cauldron.adapters.mongo_link import MARKER

PR_SET_PDEATHSIG = 1
START_S = 60.0  # a busy machine; alone it takes 0.3 s
SYNC_MS, SYNC_TRIES = 10_000, 5
MOST_DATABASES = 25  # served by one set, before files it keeps open add up to its limit
# A database of a studio opens some 180 files, which dropping it does not close by itself.
CLOSE_FILES_SOON = "file_manager=(close_idle_time=2,close_scan_interval=1,close_handle_minimum=0)"
_LIBC = ctypes.CDLL(None, use_errno=True)


def program() -> Path | None:
    """The mongod to start: the wheel's, ``MONGOD``, or the one on ``PATH``."""
    places = [Path(folder) / "fiftyone/db/bin/mongod" for folder in sys.path if folder]
    places += [Path(name) for name in (os.environ.get("MONGOD"), shutil.which("mongod")) if name]
    return next((place for place in places if place.is_file()), None)


def required_program() -> Path:
    """The mongod to start; skips or fails the test when there is none."""
    found = program()
    if found is None:
        reason = "no mongod: install the wheel of the mongo-test group, or set MONGOD"
        if os.environ.get("REQUIRE_MONGO") == "1" or os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class ReplicaSet:
    """One or more nodes in processes of their own."""

    def __init__(
        self,
        *,
        nodes: int = 1,
        election_ms: int = 2000,
        oplog_mb: int = 64,
        checkpoint_s: int = 60,
        cache_gb: float = 0.25,
        history_s: int | None = None,
    ) -> None:
        """Started, with a primary. The oplog keeps at least what is newer than the last checkpoint.

        ``history_s`` is how much of the past snapshots may read; None leaves it to the program.
        """
        self._program = required_program()
        self._folder = tempfile.TemporaryDirectory(prefix="cauldron-mongod-", ignore_cleanup_errors=True)
        self._oplog_mb, self._checkpoint_s, self._election_ms = oplog_mb, checkpoint_s, election_ms
        self._cache_gb, self._history_s = cache_gb, history_s
        self.ports = free_ports(nodes)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.served = self.in_use = 0  # databases: since the start, and now
        self.spare: list[str] = []  # databases with tables and nothing in them
        for port in self.ports:
            self.start(port)
        self._initiate()

    def start(self, port: int) -> None:
        """Start, or start again, the node at a port."""
        folder = Path(self._folder.name) / str(port)
        folder.mkdir(exist_ok=True)
        command = [
            *(str(self._program), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1"),
            *("--replSet", "tests", "--oplogSize", str(self._oplog_mb)),
            *("--wiredTigerCacheSizeGB", str(self._cache_gb), "--syncdelay", str(self._checkpoint_s)),
            *("--setParameter", "enableTestCommands=1"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--logpath", str(folder / "log"), "--logappend", "--nounixsocket"),
        ]  # fmt: skip
        if self._history_s is not None:
            command += ["--setParameter", f"minSnapshotHistoryWindowInSeconds={self._history_s}"]
        self.processes[port] = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )

    def _initiate(self) -> None:
        members = [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(self.ports)]
        settings = {
            "electionTimeoutMillis": self._election_ms,
            "heartbeatIntervalMillis": self._election_ms // 5,
            "chainingAllowed": False,
        }
        config = {"_id": "tests", "members": members, "settings": settings}
        self._until(self.ports[0], lambda db: db.command("replSetInitiate", config))
        for port in self.ports:
            self._until(port, _settled)
        self.primary()

    def _until(self, port: int, ask: Any) -> Any:
        end = time.monotonic() + START_S
        while True:
            try:
                with self.client(port) as client:
                    return ask(client.admin)
            except (PyMongoError, _NotYet) as exc:
                if time.monotonic() > end or self.processes[port].poll() is not None:
                    raise RuntimeError(f"mongod does not come up: {exc}\n{self.log(port)}") from exc
            time.sleep(0.005)

    def log(self, port: int) -> str:
        """The end of a node's log."""
        file = Path(self._folder.name) / str(port) / "log"
        return file.read_text(errors="replace")[-3000:] if file.exists() else "(no log)"

    def client(self, port: int | None = None) -> "pymongo.MongoClient[Any]":
        """A client of the primary, or of one node alone."""
        wait = {"serverSelectionTimeoutMS": 5000}
        if port is None:
            return pymongo.MongoClient(self.url("admin"), **wait)
        return pymongo.MongoClient("127.0.0.1", port, directConnection=True, **wait)

    def url(self, database: str) -> str:
        """What a store is opened with."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/{database}?replicaSet=tests"

    def primary(self) -> int:
        """The port of the node that takes writes, waiting for an election if need be."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            for port in self.ports:
                with contextlib.suppress(PyMongoError), self.client(port) as client:
                    if (
                        self.processes[port].poll() is None
                        and client.admin.command("hello")["isWritablePrimary"]
                    ):
                        return port
            time.sleep(0.02)
        raise RuntimeError("no primary")

    def synced(self) -> None:
        """Wait until every node is primary or secondary again, and as far as the others.

        A node that was killed may look for a source to copy from for minutes; started anew it finds one.
        """
        everywhere = {"w": len(self.ports), "wtimeout": SYNC_MS}
        for _ in range(SYNC_TRIES):
            for port in self.ports:
                self._until(port, _settled)
            with self.client() as client, contextlib.suppress(WTimeoutError):
                client.admin.command({"appendOplogNote": 1, "data": {}, "writeConcern": everywhere})
                return
            primary = self.primary()
            for port in self.ports:
                if port != primary:
                    self.kill(port)
                    self.start(port)
        raise RuntimeError("the nodes do not come to the same state")

    def freeze(self, port: int) -> None:
        """Stop a node's process without ending it."""
        self.processes[port].send_signal(signal.SIGSTOP)

    def thaw(self, port: int) -> None:
        """Let a frozen node go on."""
        self.processes[port].send_signal(signal.SIGCONT)

    def kill(self, port: int) -> None:
        """SIGKILL a node."""
        self.processes[port].kill()
        self.processes[port].wait()

    def stop(self) -> None:
        """SIGKILL every node and remove its data."""
        for port in self.processes:
            self.kill(port)
        self._folder.cleanup()


class _NotYet(Exception):
    pass


def _settled(admin: Any) -> None:
    hello = admin.command("hello")
    if not (hello["isWritablePrimary"] or hello["secondary"]):
        raise _NotYet("neither primary nor secondary")


@functools.cache
def single() -> ReplicaSet:
    """The set that the tests of this process share: one node, or as many as ``MONGO_NODES`` says."""
    nodes = ReplicaSet(nodes=int(os.environ.get("MONGO_NODES", "1")))
    atexit.register(nodes.stop)
    return nodes


@contextlib.contextmanager
def database(nodes: ReplicaSet | None = None) -> Iterator[str]:
    """The URL of a database of its own, dropped afterwards."""
    shared, name = nodes is None, f"test_{secrets.token_hex(6)}"
    nodes = nodes or single()
    nodes.served, nodes.in_use = nodes.served + 1, nodes.in_use + 1
    try:
        yield nodes.url(name)
        with nodes.client() as client:
            client.drop_database(name)
    finally:
        nodes.in_use -= 1
        if shared and nodes.served >= MOST_DATABASES and not nodes.in_use and nodes is single():
            single.cache_clear()
            nodes.stop()


@contextlib.contextmanager
def studio_database() -> Iterator[str]:
    """The URL of a database for a whole studio: its tables may be there from a test before, but empty.

    Making and dropping the files of a hundred indexes takes longer than most tests. Only for tests that
    end what they start: nothing may write here any more once the block is left.
    """
    nodes = single()
    if not nodes.spare:
        nodes.spare.append(f"test_{secrets.token_hex(6)}")
        nodes.served += 1
    name, nodes.in_use = nodes.spare.pop(), nodes.in_use + 1
    try:
        yield nodes.url(name)
        with nodes.client() as client:
            for table in client[name].list_collection_names():
                if table != MARKER:
                    client[name][table].delete_many({})
        nodes.spare.append(name)
    finally:
        nodes.in_use -= 1


@contextlib.contextmanager
def server() -> Iterator[ReplicaSet]:
    """One node as ``deploy/compose.yaml`` runs it, with a server's usual share of this machine.

    For benchmarks; tests share smaller ones.
    """
    nodes = ReplicaSet(oplog_mb=1024, cache_gb=1.0, history_s=10)
    try:
        yield nodes
    finally:
        nodes.stop()

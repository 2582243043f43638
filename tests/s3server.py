"""A real S3 server for tests: ``rclone serve s3`` on loopback over a folder, gone with this process.

The program comes from the wheel of the ``s3-test`` group; elsewhere ``RCLONE`` names it or ``PATH`` finds
it. Without one a test is skipped aloud, and fails where ``CI`` or ``REQUIRE_S3`` is set.
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
from pathlib import Path

import pytest

PR_SET_PDEATHSIG = 1
START_S = 60.0
KEY_ID, SECRET = "cauldron-tests", "a-secret-that-must-not-be-shown"
BUCKET = "tests"
_LIBC = ctypes.CDLL(None, use_errno=True)


def program() -> Path | None:
    """The rclone to start: the one beside this Python, ``RCLONE``, or the one on ``PATH``."""
    places = [Path(sys.executable).parent / "rclone"]
    places += [Path(name) for name in (os.environ.get("RCLONE"), shutil.which("rclone")) if name]
    return next((place for place in places if place.is_file()), None)


def required_program() -> Path:
    """The rclone to start; skips or fails the test when there is none."""
    found = program()
    if found is None:
        reason = "no rclone: install the wheel of the s3-test group, or set RCLONE"
        if os.environ.get("REQUIRE_S3") == "1" or os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class S3Server:
    """One server with one bucket; it is a folder below ``root``, and must be there before the server is."""

    def __init__(self) -> None:
        self._program = required_program()
        self._folder = tempfile.TemporaryDirectory(prefix="cauldron-s3-", ignore_cleanup_errors=True)
        self.root = Path(self._folder.name) / "buckets"
        (self.root / BUCKET).mkdir(parents=True)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, or start it again, and wait until it listens."""
        command = [
            *(str(self._program), "serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
            *("--auth-key", f"{KEY_ID},{SECRET}", "--config", os.devnull, str(self.root)),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.005)
        raise RuntimeError("rclone does not come up")

    def url(self, prefix: str = "", bucket: str = BUCKET) -> str:
        """What a blob store is opened with: a fresh place by default. Credentials are not in it."""
        prefix = prefix or f"test-{secrets.token_hex(6)}"
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region=auto"

    def kill(self) -> None:
        """SIGKILL the server."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server and remove its data."""
        self.kill()
        self._folder.cleanup()


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}


@functools.cache
def shared() -> S3Server:
    """The server that the tests of this process share."""
    server = S3Server()
    atexit.register(server.stop)
    return server

"""Several hosts on one replica set and one bucket: every worker has a data directory of its own."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cauldron.bootstrap import Studio, studio
from cauldron.cli.session import store_file
from cauldron.cli.workers import sessions
from cauldron.config import load_settings
from cauldron.services.cooking import Wanted
from tests import s3server
from tests.flows.commands import Shell, kill_all, make_collection
from tests.mongod import database

LEASE_MS = 1500
SLOTS = 4  # of the session that makes pieces; each process has one for exports beside it
NOTICE_MS = 1000 + 250  # the sweeper looks for silent workers once a second, and for what is due four times
LOADED_MS = 4000  # what a machine shared with other tests may add


async def start(app: Studio, source: Path) -> str:
    """Queue a cook of the whole collection, without working here."""
    record = await store_file(app, source)
    started = await app.cooking.start(Wanted(collection_id=record["_id"]), caller=app.caller)
    return started.cook_id


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float = 90.0) -> float:
    """Wait; returns the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.05)
    return loop.time() - began


async def pictures(app: Studio, cook_id: str) -> dict[int, str]:
    """Slot of the plan -> digest of its picture."""
    docs = await app.store.find("pieces", {"cookId": cook_id}, order=("cookId", "number"), limit=10_000)
    return {doc["slot"]: doc["output"]["media"] for doc in docs}


async def workers(app: Studio) -> dict[str, dict[str, Any]]:
    """Living workers that make pieces, by process id."""
    rows = sessions(await app.store.find("workers", {}), now=app.clock())
    return {row["name"].rpartition(":")[2]: row for row in rows if row["alive"] and row["slots"] == SLOTS}


class Hosts:
    """Worker processes, each on a host of its own as far as files go."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder, self.settings = folder, settings
        self.processes: list[subprocess.Popen[bytes]] = []

    def add(self) -> subprocess.Popen[bytes]:
        shell = Shell(
            home=self.folder / f"host-{len(self.processes)}",
            cwd=self.folder,
            settings=tuple(self.settings.items()),
        )
        self.processes.append(shell.start("worker", "--slots", str(SLOTS)))
        return self.processes[-1]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Hosts]:
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with database() as url:
        settings = {
            "CAULDRON_DATABASE_URL": url,
            "CAULDRON_BLOBS_URL": s3server.shared().url(),
            "CAULDRON_LEASE_MS": str(LEASE_MS),
            "CAULDRON_PROCESSES": "1",
        }
        found = Hosts(tmp_path, settings)
        yield found
        for process in found.processes:
            kill_all(process)


@asynccontextmanager
async def office(hosts: Hosts) -> AsyncIterator[Studio]:
    """A studio on the same store and bucket that works on nothing itself."""
    given = {name.removeprefix("CAULDRON_").lower(): value for name, value in hosts.settings.items()}
    async with studio(load_settings(home=hosts.folder / "office", **given)) as app:
        yield app


async def calm_pictures(folder: Path, source: Path) -> dict[int, str]:
    """What one process makes of the collection on SQLite and a local folder."""
    async with studio(load_settings(home=folder / "calm")) as app:
        cook_id = await start(app, source)
        async with app.running():
            await until(lambda: rests(app, cook_id))
        return await pictures(app, cook_id)


async def rests(app: Studio, cook_id: str) -> bool:
    return bool((await app.cooking.status(cook_id))["state"] == "Completed")


async def running_jobs(app: Studio, session: str = "") -> list[str]:
    jobs = await app.store.find("cook_jobs", {"status": "running"}, order=("worker",), limit=1000)
    return [job["_id"] for job in jobs if not session or job["worker"] == session]


def test_three_workers_share_a_cook_and_no_death_or_pause_costs_a_piece(
    hosts: Hosts, tmp_path: Path, run: Any
) -> None:
    source = make_collection(tmp_path / "art", supply=150, size=512)

    async def story() -> None:
        wanted = await calm_pictures(tmp_path, source)
        async with office(hosts) as app:
            killed, drained, stays = (hosts.add() for _ in range(3))
            await until(lambda: count_is(app, 3))
            cook_id = await start(app, source)
            await until(lambda: some_made(app, cook_id, 10))
            await holds_while_paused(app, cook_id)
            await taken_over(app, killed)
            await drains(app, drained)
            await until(lambda: rests(app, cook_id))
            status = await app.cooking.status(cook_id)
            assert (status["generationCount"], status["failed"], status["queued"]) == (150, 0, 0)
            assert await pictures(app, cook_id) == wanted
            assert list(await workers(app)) == [str(stays.pid)]

    run(story(), timeout_s=240)


async def count_is(app: Studio, count: int) -> bool:
    return len(await workers(app)) == count


async def some_made(app: Studio, cook_id: str, count: int) -> bool:
    return bool((await app.cooking.status(cook_id))["generationCount"] >= count)


async def holds_while_paused(app: Studio, cook_id: str) -> None:
    """What runs finishes; nothing starts, however many workers look; it goes on when it is resumed."""
    await app.cooking.pause(cook_id, actor="local", reason="lunch")

    async def still() -> bool:
        return not await running_jobs(app) and not await app.cook_jobs.parents_settled()

    await until(still)
    before = await app.cooking.status(cook_id)
    await asyncio.sleep(1.5)
    after = await app.cooking.status(cook_id)
    assert not await running_jobs(app)
    assert after["generationCount"] == before["generationCount"] < 150
    await app.cooking.resume(cook_id, actor="local")


async def taken_over(app: Studio, process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a worker that holds jobs: within its lease they are somebody else's, or queued."""
    session = (await workers(app))[str(process.pid)]["session"]

    async def holds_some() -> bool:
        return bool(await running_jobs(app, session))

    async def holds_none() -> bool:
        return not await running_jobs(app, session)

    await until(holds_some)
    kill_all(process)
    took_s = await until(holds_none)
    assert took_s * 1000 < LEASE_MS + NOTICE_MS + LOADED_MS


async def drains(app: Studio, process: subprocess.Popen[bytes]) -> None:
    """SIGTERM: it finishes what it holds, gives nothing back, and leaves."""
    session = (await workers(app))[str(process.pid)]["session"]
    held = await running_jobs(app, session)
    before = {job["_id"]: job.get("lost", 0) for job in await app.store.get("cook_jobs", held) if job}
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert str(process.pid) not in await workers(app)
    jobs = [job for job in await app.store.get("cook_jobs", held) if job is not None]
    assert {job["_id"]: job.get("lost", 0) for job in jobs} == before
    assert {job["status"] for job in jobs} <= {"settled", "done"}


def test_the_list_of_workers_says_who_works_on_what(hosts: Hosts, tmp_path: Path, run: Any) -> None:
    async def story() -> dict[str, Any]:
        async with office(hosts) as app:
            process = hosts.add()
            await until(lambda: count_is(app, 1))
            return (await workers(app))[str(process.pid)]

    row = run(story())
    shell = Shell(home=tmp_path / "office", cwd=tmp_path, settings=tuple(hosts.settings.items()))
    [listed] = [each for each in shell.ok("worker", "list")["workers"] if each["slots"] == SLOTS]
    assert (listed["name"], listed["host"], listed["session"]) == (row["name"], row["host"], row["session"])
    assert listed["running"] == []
    assert listed["beatAgeMs"] < LEASE_MS + LOADED_MS
    text = shell("worker", "list")
    assert (text.code, row["name"] in text.out) == (0, True)

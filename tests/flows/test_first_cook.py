"""The whole story on the command line: from a trait tree to an exported drop, and after crashes."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.commands import Inside, Shell, folder_bytes, kill_all, make_collection
from tests.mongod import database

Engine = Callable[[], dict[str, str]]


# A story takes a dozen commands: on MongoDB the ones that say most are told each time, the rest in the soak.
EACH_TIME = pytest.mark.parametrize("engine", ["sqlite", "mongo"], indirect=True)
IN_THE_SOAK = pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("mongo", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Every call names another empty store, as settings for commands."""
    with contextlib.ExitStack() as stack:
        if getattr(request, "param", "sqlite") == "sqlite":
            yield dict
        else:
            yield lambda: {"CAULDRON_DATABASE_URL": stack.enter_context(database())}


@pytest.fixture
def shell(tmp_path: Path, engine: Engine) -> Shell:
    return Shell(home=tmp_path / "home", cwd=tmp_path, settings=tuple(engine().items()))


@pytest.fixture
def inside(shell: Shell) -> Inside:
    """The same in this process, where nothing is killed."""
    return Inside(home=shell.home, cwd=shell.cwd, settings=shell.settings)


@IN_THE_SOAK
def test_a_collection_becomes_a_verified_drop(shell: Shell, tmp_path: Path) -> None:
    source = str(make_collection(tmp_path / "art", supply=40))
    assert shell.ok("collection", "validate", source) == {"ok": True, "problems": []}
    status = shell.ok("cook", "start", source, "--wait")
    assert (status["state"], status["generationCount"], status["queued"]) == ("Completed", 40, 0)
    cook = status["cookId"]
    assert shell.ok("review", "approve", cook, "--all") == {"changed": 40}
    exported = shell.ok("export", "start", cook, "--to", "drop")
    assert exported["pieces"] == 40
    assert shell.ok("export", "verify", "drop") == {"ok": True, "pieces": 40, "problems": [], "unlisted": 0}
    assert shell.ok("cook", "status", cook)["state"] == "Exported"
    assert shell.ok("rebuild", "--check")["differing"] == 0


@EACH_TIME
def test_rejected_pieces_are_made_again_and_published_numbers_stay(inside: Inside, tmp_path: Path) -> None:
    source = str(make_collection(tmp_path / "art", supply=30))
    cook = inside.ok("cook", "start", source, "--wait")["cookId"]
    inside.ok("review", "approve", cook, "--all")
    inside.ok("export", "start", cook, "--to", "first", "--publish")
    before = folder_bytes(tmp_path / "first" / "images")
    assert inside.ok("review", "reject", cook, "3", "7-9", "--reason", "smudged") == {"changed": 4}
    assert inside.ok("review", "undo", cook, "3") == {"changed": 1}
    inside.ok("review", "approve", cook, "3")
    refused = inside("export", "start", cook, "--to", "second")
    assert refused.code == 1
    assert "3 pieces are rejected or failed and not refilled" in refused.err
    assert inside.ok("review", "reroll", cook, "--wait") == {"changed": 3}
    assert inside.ok("cook", "status", cook)["generationCount"] == 33
    inside.ok("review", "approve", cook, "--all")
    inside.ok("export", "start", cook, "--to", "second")
    after = folder_bytes(tmp_path / "second" / "images")
    changed = {name for name in before if before[name] != after[name]}
    assert len(after) == 30
    assert len(changed) <= 3  # a re-rolled slot may fall on the same picture, no other may change
    assert inside.ok("rebuild", "--check")["differing"] == 0


@IN_THE_SOAK
def test_culled_pieces_leave_and_come_back(inside: Inside, tmp_path: Path) -> None:
    source = str(make_collection(tmp_path / "art", supply=12))
    cook = inside.ok("cook", "start", source, "--wait")["cookId"]
    inside.ok("review", "approve", cook, "--all")
    assert inside.ok("review", "cull", cook, "1-4") == {"changed": 4}
    assert inside.ok("export", "start", cook, "--to", "culled")["pieces"] == 8
    assert inside.ok("review", "revive", cook, "2") == {"changed": 1}
    assert inside.ok("export", "start", cook, "--to", "revived")["pieces"] == 9
    assert inside.ok("export", "verify", "revived")["ok"]


@IN_THE_SOAK
def test_a_second_start_goes_on_with_the_active_cook(inside: Inside, tmp_path: Path) -> None:
    source = str(make_collection(tmp_path / "art", supply=20))
    first = inside.ok("cook", "start", source)["cookId"]
    assert inside.ok("cook", "start", source)["cookId"] == first
    inside.ok("cook", "pause", first, "--reason", "lunch")
    assert inside.ok("cook", "start", source)["cookId"] == first
    assert inside.ok("cook", "resume", first)["state"] == "Cooking"
    assert inside.ok("cook", "stop", first)["state"] == "Stopped"
    assert inside("cook", "pause", first).code == 1
    assert inside.ok("cook", "resume", first)["state"] == "Cooking"
    assert inside.ok("cook", "watch", first, "--work")["generationCount"] == 20
    again = inside.ok("cook", "start", source, "--wait")  # all of it is there: nothing to make
    assert (again["cookId"], again["generationCount"]) == (first, 20)
    more = inside("cook", "start", source, "--amount", "5")
    assert more.code == 1
    assert "all 20 rows of the plan are used" in more.err


@IN_THE_SOAK
def test_parts_of_the_supply_are_cooked_one_after_the_other(inside: Inside, tmp_path: Path) -> None:
    source = str(make_collection(tmp_path / "art", supply=30))
    first = inside.ok("cook", "start", source, "--amount", "10", "--wait")
    second = inside.ok("cook", "start", source, "--wait")
    assert (first["generationCount"], second["generationCount"]) == (10, 20)
    assert first["cookId"] != second["cookId"]


def _cooked_and_exported(shell: Shell, source: str, folder: Path) -> dict[str, bytes]:
    status = shell.ok("cook", "start", source, "--wait")
    assert status["state"] == "Completed"
    shell.ok("review", "approve", status["cookId"], "--all")
    shell.ok("export", "start", status["cookId"], "--to", str(folder))
    return folder_bytes(folder)


@EACH_TIME
@pytest.mark.parametrize(("supply", "kills"), [(120, 4), pytest.param(600, 25, marks=pytest.mark.slow)])
def test_killing_everything_and_asking_again_gives_the_same_bytes(
    tmp_path: Path, engine: Engine, supply: int, kills: int
) -> None:
    """SIGKILL of the whole process group, then the same command: only what is missing is made."""
    source = str(make_collection(tmp_path / "art", supply=supply, size=256))
    calm = Shell(home=tmp_path / "calm", cwd=tmp_path)
    wanted = _cooked_and_exported(calm, source, tmp_path / "calm-drop")
    settings = engine() | {"CAULDRON_LEASE_MS": "600"}
    shell = Shell(home=tmp_path / "rough", cwd=tmp_path, settings=tuple(settings.items()))
    chance, cut_short = random.Random(1), 0
    for _ in range(kills):
        process = shell.start("cook", "start", source, "--wait")
        time.sleep(chance.uniform(0.8, 2.2))
        cut_short += process.poll() is None
        kill_all(process)
    assert cut_short > 0
    drop = tmp_path / "rough-drop"
    status = shell.ok("cook", "start", source, "--wait")
    assert status["generationCount"] == supply
    assert status["failed"] == 0
    shell.ok("review", "approve", status["cookId"], "--all")
    exporting = shell.start("export", "start", status["cookId"], "--to", str(drop))
    time.sleep(1.2)
    kill_all(exporting)
    shell.ok("export", "start", status["cookId"], "--to", str(drop))
    assert folder_bytes(drop) == wanted
    assert shell.ok("rebuild", "--check")["differing"] == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("cook", "start", "nothing.yaml"), 1, "no such file"),
        (("cook", "status", "nobody"), 1, "there is no cook"),
        (("review", "approve", "nobody", "--all"), 1, "there is no cook"),
        (("review", "approve", "nobody"), 2, "name piece numbers, or --all"),
        (("review", "approve", "nobody", "9-3"), 2, "is not a range"),
        (("cast", "no-such-spell"), 1, "no-such-spell"),
        (("export", "verify", "nowhere"), 1, "nowhere"),
        (("cook", "start", "x", "--amount", "0"), 2, "equal to 1"),
    ],
)
def test_what_cannot_be_done_is_said_and_coded(
    inside: Inside, words: tuple[str, ...], code: int, said: str
) -> None:
    answer = inside(*words)
    assert (answer.code, said in answer.err) == (code, True), answer
    assert "Traceback" not in answer.err

"""A member of the tool pool, as a process of its own: what it stores while it draws the next."""

import itertools
import subprocess
import sys
from pathlib import Path

import orjson

from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.local.registry import run_tool
from cauldron.member import StoredMedia
from tests.flows.commands import make_collection

SIZE = 128


def calls_of(folder: Path, files: BlobFiles) -> list[dict]:
    """Every stack of the small collection, and some calls that fail between them."""
    make_collection(folder, size=SIZE)
    kinds = []
    for kind in ("sky", "body", "hat"):
        paths = sorted((folder / kind).glob("*.png"))
        kinds.append(
            [{"media": f"sha256:{files.put_path(p)}", "mime": "image/png", "sizeBytes": 1} for p in paths]
        )
    calls = [
        {"tool": "layers.compose", "inputs": {"layers": list(stack)}} for stack in itertools.product(*kinds)
    ]
    for place in range(0, len(calls), 20):
        calls[place] = {"tool": "layers.compose", "inputs": {"layers": []}}
    return calls


def test_answers_come_in_order_and_what_was_stored_is_what_was_drawn(tmp_path):
    """All calls lie in the pipe before the first answer is read, so that drawing and storing overlap."""
    files = BlobFiles(tmp_path / "blobs")
    calls = calls_of(tmp_path / "art", files)
    bodies = [orjson.dumps(call) for call in calls]
    command = [sys.executable, "-m", "cauldron.member", str(files.root)]
    frames = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    said = subprocess.run(command, input=frames, stdout=subprocess.PIPE, check=True).stdout
    for call in calls:
        size, said = int.from_bytes(said[:4], "big"), said[4:]
        reply, said = orjson.loads(said[:size]), said[size:]
        if not call["inputs"]["layers"]:
            assert reply["error"]["code"] == "invalid_inputs"
            continue
        [made] = run_tool(call["tool"], call["inputs"], StoredMedia(files))
        digest = reply["outputs"]["image"]["media"].removeprefix("sha256:")
        assert files.read(digest) == made.data
    assert said == b""


def test_a_member_that_cannot_store_says_so_and_goes_on(tmp_path):
    """The folder it writes into is away for one call of three."""
    files = BlobFiles(tmp_path / "blobs")
    command = [sys.executable, "-m", "cauldron.member", str(files.root)]
    told = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as member:

        def ask(width):
            inputs = {"width": width, "height": 64, "colors": ["#000000", "#ffffff"]}
            body = orjson.dumps({"tool": "gradient", "inputs": inputs})
            member.stdin.write(len(body).to_bytes(4, "big") + body)
            member.stdin.flush()
            told.append(orjson.loads(member.stdout.read(int.from_bytes(member.stdout.read(4), "big"))))

        ask(64)
        (files.root / "tmp").rename(files.root / "away")
        ask(65)
        (files.root / "away").rename(files.root / "tmp")
        ask(66)
        member.stdin.close()
        assert member.wait(30) == 0
    assert ["outputs" in reply for reply in told] == [True, False, True]
    assert (told[1]["error"]["code"], told[1]["error"]["retryable"]) == ("unavailable", True)

"""Pieces, outputs, uploads and callbacks on the command line."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.flows.commands import Inside, make_collection


@pytest.fixture
def shell(tmp_path: Path) -> Inside:
    return Inside(home=tmp_path / "home", cwd=tmp_path)


def test_a_cast_is_looked_at_and_its_picture_written(shell: Inside, tmp_path: Path):
    held = io.BytesIO()
    Image.new("RGB", (30, 20), "teal").save(held, "PNG")
    (tmp_path / "x.bin").write_bytes(held.getvalue())
    [kept] = shell.ok("upload", str(tmp_path / "x.bin"))["uploads"]
    assert (kept["ref"]["width"], kept["ref"]["mime"]) == (30, "image/png")
    media = f"media=[{json.dumps(kept['ref'])}]"
    run: dict[str, Any] = shell.ok("cast", "static.media", "--input", media, "--wait")
    [output] = shell.ok("output", "list", "--cast", run["runId"])["outputs"]
    assert (output["toolId"], output["status"]) == ("static.media", "success")
    shown = shell.ok("output", "show", output["outputId"], "--out", str(tmp_path / "out"))
    with Image.open(shown["files"][0]) as image:
        assert image.size == (30, 20)
    assert shell.ok("output", "list", "--status", "failed")["outputs"] == []


def test_a_secret_for_callbacks_is_made_and_nothing_is_sent_yet(shell: Inside):
    assert shell.ok("callback", "rotate")["secret"].startswith("whsec_")
    assert shell.ok("callback", "list")["deliveries"] == []
    assert shell("callback", "retry", "msg_none").code == 1


def test_pieces_are_listed_and_counted(shell: Inside, tmp_path: Path):
    source = str(make_collection(tmp_path / "art", supply=6))
    cook = shell.ok("cook", "start", source, "--wait")["cookId"]
    shell.ok("review", "approve", cook, "1-3")
    assert shell.ok("review", "keep", cook, "1") == {"changed": 1}
    found = shell.ok("piece", "list", cook, "--state", "approved")["pieces"]
    assert [each["number"] for each in found] == [2, 3]
    label, value = next(iter(found[0]["traits"].items()))
    shown = shell.ok("piece", "list", cook, "--trait", f"{label}={value}")["pieces"]
    assert 2 in [each["number"] for each in shown]
    assert shell.ok("cook", "analytics", cook)["states"]["kept"] == 1
    assert "median" in shell("cook", "analytics", cook).out


def test_a_run_from_the_command_line_is_told_of_too(shell: Inside):
    words = ("cast", "text.template", "--input", "template=x", "--callback")
    assert shell(*words, "http://127.0.0.1/").code == 2
    open_shell = Inside(
        home=shell.home, cwd=shell.cwd, settings=(("CAULDRON_CALLBACK_HOSTS", '["127.0.0.1"]'),)
    )
    run = open_shell.ok(*words, "http://127.0.0.1:9/", "--wait")
    [output] = open_shell.ok("output", "list", "--cast", run["runId"])["outputs"]
    assert output["deliveryStatus"] == "pending"

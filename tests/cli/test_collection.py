"""``cauldron collection``: the answers scripts rely on, exit codes, and text for people."""

import json

import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner

from cauldron.cli import collection as commands
from tests.domain.collection_samples import document, grid, numbered, options, with_counts


@pytest.fixture
def cauldron():
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)

    def call(*arguments):
        return CliRunner().invoke(app, ["collection", *map(str, arguments)])

    return call


@pytest.fixture
def file(write):
    return lambda doc: write("collection.yaml", yaml.safe_dump(doc, sort_keys=False))


def answer(result):
    """The one JSON object on stdout."""
    return json.loads(result.stdout)


def test_a_valid_document_is_ok(cauldron, file):
    result = cauldron("validate", file(grid([3, 3], supply=4)), "--json")
    assert (result.exit_code, answer(result)) == (0, {"ok": True, "problems": []})


def test_problems_are_listed_and_exit_with_2(cauldron, file):
    doc = grid([3, 3], supply=4)
    doc["categories"][1]["options"][0]["weight"] = -3
    result = cauldron("validate", file(doc), "--json")
    assert result.exit_code == 2
    found = answer(result)
    assert not found["ok"]
    [problem] = found["problems"]
    assert set(problem) == {"path", "code", "message"}
    assert (problem["path"], problem["code"]) == ("categories[1].options[0].weight", "out_of_range")
    assert "-3" in problem["message"]


def test_files_the_document_names_are_checked(cauldron, file, tmp_path):
    doc = document([{"name": "Sky", "options": [{"name": "A", "value": {"image": "a.png"}}]}], supply=1)
    missing = cauldron("validate", file(doc), "--json")
    assert missing.exit_code == 2
    assert answer(missing)["problems"][0]["code"] == "no_file"
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert cauldron("validate", file(doc), "--json").exit_code == 0


def test_a_plan_is_not_written_over_a_folder(cauldron, file, tmp_path):
    refused = cauldron("plan", file(grid([3, 3], supply=4)), "--out", tmp_path)
    assert (refused.exit_code, f"{tmp_path}: is a folder" in refused.stderr) == (2, True)


def test_a_file_that_is_no_picture_is_named(cauldron, file, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    doc = document([{"name": "Sky", "options": [{"name": "A", "value": {"image": "a.png"}}]}], supply=1)
    [problem] = answer(cauldron("validate", file(doc), "--json"))["problems"]
    assert problem["message"] == "a.png is no PNG, JPEG, WebP or GIF image"


def test_broken_yaml_names_file_and_line(cauldron, write):
    path = write("broken.yaml", "name: x\ncategories:\n  - [}\n")
    result = cauldron("validate", path, "--json")
    assert result.exit_code == 2
    [problem] = answer(result)["problems"]
    assert str(path) in problem["message"]
    assert "line 3" in problem["message"]
    planned = cauldron("plan", path, "--json")
    assert planned.exit_code == 2
    assert "line 3" in answer(planned)["error"]["message"]


def test_a_missing_file_is_a_failure(cauldron, tmp_path):
    result = cauldron("count", tmp_path / "nothing.yaml", "--json")
    assert result.exit_code == 1
    assert answer(result)["error"]["code"] == "not_found"


def test_count_answers_exactly(cauldron, file):
    rule = {"id": "r", "excludes": [{"C0": "o0"}, {"C1": "o0"}]}
    result = cauldron("count", file(grid([3, 4], supply=4, rules=[rule])), "--json")
    assert (result.exit_code, answer(result)) == (0, {"combinations": 11, "exact": True})


def test_counts_beyond_64_bits_are_written_whole(cauldron, file):
    assert answer(cauldron("count", file(grid([20] * 40, supply=4)), "--json"))["combinations"] == 20**40
    assert "1.099e52" in cauldron("count", file(grid([20] * 40, supply=4))).stdout


def test_a_plan_answers_and_writes_a_readable_file(cauldron, file, tmp_path):
    path, out = file(with_counts(grid([5, 6, 4], supply=40, weights=(1,)))), tmp_path / "plan.json"
    result = cauldron("plan", path, "--supply", 40, "--seed", "s", "--out", out, "--json")
    assert result.exit_code == 0
    found = answer(result)
    assert (found["pieces"], found["unique"]) == (40, 40)
    assert len(found["planHash"]) == 64
    assert found["seconds"] >= 0
    assert found["forecast"]["largestDeviation"] == 0
    written = json.loads(out.read_text())
    assert written["planHash"] == found["planHash"]
    traits = [tuple(piece["traits"].values()) for piece in written["pieces"]]
    assert len(set(traits)) == 40
    assert sum(piece["traits"]["C0"] == "o1" for piece in written["pieces"]) == 8
    assert list(tmp_path.glob(".plan*")) == []


def test_the_same_seed_gives_the_same_plan(cauldron, file):
    path = file(grid([9, 9, 9], supply=50))
    hashes = [answer(cauldron("plan", path, "--seed", seed, "--json"))["planHash"] for seed in "aab"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_infeasible_settings_exit_with_1_and_reasons(cauldron, file, tmp_path):
    out = tmp_path / "plan.json"
    result = cauldron("plan", file(grid([3, 4], supply=4)), "--supply", 13, "--out", out, "--json")
    assert result.exit_code == 1
    reason = "13 pieces are wanted, but there are only 12 different valid combinations"
    assert answer(result) == {"infeasible": {"reasons": [reason]}}
    assert not out.exists()
    told = cauldron("plan", file(grid([3, 4], supply=4)), "--supply", 13)
    assert told.exit_code == 1
    assert told.stdout == ""
    assert reason in told.stderr


@pytest.mark.parametrize("supply", [0, -1, 1_000_001])
def test_a_supply_out_of_bounds_is_bad_usage(cauldron, file, supply):
    result = cauldron("plan", file(grid([3, 4], supply=4)), f"--supply={supply}", "--json")
    assert result.exit_code == 2
    assert answer(result)["error"]["code"] == "invalid"


def test_a_folder_that_is_not_there_is_named(cauldron, file, tmp_path):
    out = tmp_path / "no" / "plan.json"
    result = cauldron("plan", file(grid([3, 4], supply=4)), "--out", out, "--json")
    assert result.exit_code == 1
    assert "its folder does not exist" in answer(result)["error"]["message"]


def test_missing_art_does_not_keep_anyone_from_planning(cauldron, file):
    sky = {"name": "Sky", "options": [{"name": "A", "value": {"image": "a.png"}}, *options("B")]}
    result = cauldron("plan", file(document([sky], supply=2)), "--json")
    assert result.exit_code == 0
    assert answer(result)["pieces"] == 2
    assert "planned without them" in result.stderr


def test_image_folders_are_read(cauldron, file, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("p1.png", "p2.png", "p10.png"):
        Image.new("RGB", (2, 2), (len(name), 0, 0)).save(folder / name)
    doc = document([{"name": "Photo", "images": {"folder": "photos", "draw": "order", "times": 1}}], supply=3)
    out = tmp_path / "plan.json"
    assert cauldron("plan", file(doc), "--out", out).exit_code == 0
    pieces = json.loads(out.read_text())["pieces"]
    assert [piece["traits"]["Photo"] for piece in pieces] == ["p1", "p2", "p10"]
    doc["categories"][0]["images"]["folder"] = "nothing"
    assert cauldron("count", file(doc), "--json").exit_code == 2


def test_the_forecast_has_every_option_and_rarity(cauldron, file):
    result = cauldron(
        "forecast", file(document([numbered(4), *grid([3], supply=1)["categories"]], supply=9)), "--json"
    )
    found = answer(result)
    assert [c["category"] for c in found["categories"]] == ["N", "C0"]
    assert sum(o["count"] for o in found["categories"][0]["options"]) == 9
    assert sum(found["rarity"]["histogram"]) == 9


@pytest.mark.parametrize("command", ["validate", "count", "plan", "forecast"])
def test_text_for_people_fits_80_columns_without_colour(command, cauldron, file, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    long_name = "An option with quite a long name that goes on and on, " + "x" * 60
    hat = {"name": "Hat", "none": 0.5, "options": options(long_name, "[red]Cap")}
    result = cauldron(command, file(document([hat, numbered(30)], supply=20)))
    assert result.exit_code == 0
    assert result.stdout.strip()
    assert "\x1b" not in result.stdout
    shown = [line for line in result.stdout.splitlines() if "collection.yaml" not in line]
    assert all(len(line) <= 80 for line in shown)
    if command in ("plan", "forecast"):
        assert "[red]Cap" in result.stdout
        assert "Hat" in result.stdout

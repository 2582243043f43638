"""The files of ``deploy/`` fit the program: settings exist, nothing runs as root, nothing is published."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import reference

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> list[str]:
    joined = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_every_setting_named_exists():
    named = {
        name
        for path in DEPLOY.rglob("*")
        if path.is_file()
        for name in re.findall(r"CAULDRON_[A-Z_]+", path.read_text())
    }
    assert {"CAULDRON_DATABASE_URL", "CAULDRON_BLOBS_URL"} <= named
    assert named <= set(reference.settings())


def test_the_set_has_three_nodes_that_elect_soon_and_are_not_published(compose: dict[str, Any]):
    nodes = {name for name, service in compose["services"].items() if "--replSet" in service["command"]}
    assert len(nodes) == 3
    script = compose["services"]["mongo-set"]["command"][-1]
    assert set(re.findall(r'host: "(\w+):27017"', script)) == nodes
    assert "electionTimeoutMillis: 2000" in script
    assert "heartbeatIntervalMillis: 500" in script
    assert re.search(r"mongodb://([\w,]+)/", (DEPLOY / ".env.example").read_text())[1].split(",") == sorted(
        nodes
    )
    assert not any("ports" in service for service in compose["services"].values())


def test_volumes_networks_and_files_named_are_there(compose: dict[str, Any]):
    for service in compose["services"].values():
        assert {v.split(":")[0] for v in service.get("volumes", [])} <= compose["volumes"].keys()
        assert set(service["networks"]) <= compose["networks"].keys()
        assert set(service.get("depends_on", {})) <= compose["services"].keys()
    build = compose["services"]["worker"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_containers_are_not_root_and_signals_reach_the_program(
    dockerfile: list[str], compose: dict[str, Any]
):
    (user,) = [line for line in dockerfile if line.startswith("USER")]
    assert re.fullmatch(r"USER [1-9]\d+:[1-9]\d+", user)
    last = [line.split()[0] for line in dockerfile]
    assert last.index("USER") > len(last) - 1 - last[::-1].index("COPY")
    assert 'ENTRYPOINT ["cauldron"]' in dockerfile  # no shell in between: SIGTERM drains
    worker = compose["services"]["worker"]
    assert worker["read_only"]
    assert worker["cap_drop"] == ["ALL"]


def test_what_is_copied_into_the_image_exists_and_is_not_ignored(dockerfile: list[str]):
    allowed = {
        line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    for line in dockerfile:
        if line.startswith("COPY") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
                assert name in allowed, name


def test_secrets_stay_out_of_the_repository():
    assert ".env" in (DEPLOY / ".gitignore").read_text().split()
    text = (DEPLOY / ".env.example").read_text()
    assert re.findall(r"AWS_\w+=(.*)", text) == ["", ""]

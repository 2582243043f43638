"""House rules about files: no addresses of registries, no paths of one machine, nothing half-done."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = re.compile(rb"[\x09\x0a\x0d\x20-\x7e\x80-\xff]*")
MAX_FILE_BYTES = 2_000_000

# Written in pieces, so that this file keeps its own rules.
HOSTS = ["pypi" + ".org", "python" + "hosted", "registry" + ".npmjs", "deb." + "debian"]
PATHS = [
    "/wo" + "rk/",
    "/ro" + "ot/",
    "/fa" + "rm/",
    "/tmp/" + "bash_jobs",
    "/home/" + r"[a-z]+/",
    "/Use" + r"rs/[a-z]+/",
]
MARKS = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "<<<<" + "<<<", ">>>>" + ">>>"]
INDEXES = [r"--(extra-)?index" + r"-url[= ]\S", r"--find" + r"-links[= ]\S"]
FORBIDDEN = {
    "a registry's host": re.compile("|".join(map(re.escape, HOSTS))),
    "a path of one machine": re.compile(rf"(?<![\w.])({'|'.join(PATHS)})"),
    "an unfinished mark": re.compile(rf"\b({'|'.join(MARKS[:3])})\b|^({'|'.join(MARKS[3:])})", re.MULTILINE),
    "an index address": re.compile("|".join(INDEXES)),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----"),
}


def tracked_files(root: Path) -> list[Path]:
    """Files git tracks, without those deleted in the work tree."""
    said = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    return [root / name for name in said.decode().split("\0") if name and (root / name).is_file()]


def faults_of(path: Path, root: Path) -> list[str]:
    """What a tracked file says that it must not."""
    data = path.read_bytes()
    if not TEXT.fullmatch(data[:8192]):
        return []
    text = data.decode("utf-8", "replace")
    where = path.relative_to(root)
    return [
        f"{where}:{text.count(chr(10), 0, found.start()) + 1} holds {what}: {found.group(0)[:40]!r}"
        for what, pattern in FORBIDDEN.items()
        for found in pattern.finditer(text)
    ]


def test_no_tracked_file_names_a_registry_a_machine_or_something_unfinished():
    faults = [fault for path in tracked_files(ROOT) for fault in faults_of(path, ROOT)]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"see https://{HOSTS[0]}/simple/x", "a registry's host"),
        (f"open({PATHS[0]!r} + 'main')", "a path of one machine"),
        (f"cd {PATHS[1]}x", "a path of one machine"),
        (f"# {MARKS[0]}: later", "an unfinished mark"),
        (f"{MARKS[3]} HEAD", "an unfinished mark"),
        (INDEXES[1].replace(r"[= ]\S", " x"), "an index address"),
    ],
)
def test_a_planted_line_is_found(line, what, write):
    path = write("planted.md", f"harmless\n{line}\n")
    assert [f for f in faults_of(path, path.parent) if what in f and "planted.md:2 " in f]


def test_a_harmless_line_is_not_found(write):
    path = write("fine.md", "framework/main, network/x, xxx-large, Todos, http://127.0.0.1:8000/tmp/x\n")
    assert not faults_of(path, path.parent)


def test_no_tracked_file_is_generated_bulk():
    big = [str(p.relative_to(ROOT)) for p in tracked_files(ROOT) if p.stat().st_size > MAX_FILE_BYTES]
    locks = [p.name for p in tracked_files(ROOT) if p.name in {"uv.lock", "poetry.lock", "package-lock.json"}]
    assert not big
    assert not locks


@pytest.mark.parametrize("name", ["installer", "run", "test", "bench"])
def test_requirements_are_pinned_and_hashed(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    entries = re.findall(r"^\S.*(?:\n[ ]{4}--hash.*)*", text, re.MULTILINE)
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+", entry), entry
        assert "--hash=sha256:" in entry, entry


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return {
        n.lower(): v for n, v in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ]+)", text, re.MULTILINE)
    }


def test_every_direct_dependency_is_in_its_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = {
        "run": [*project["project"]["dependencies"], *groups["build"]],
        "test": [
            *groups["dev"],
            *(d for extra in project["project"]["optional-dependencies"].values() for d in extra),
        ],
        "bench": groups["bench"],
        "installer": groups["installer"],
    }
    for name, dependencies in wanted.items():
        missing = {re.split(r"[\[<>=~ ;]", d)[0].lower() for d in dependencies} - set(pinned(name))
        assert not missing, f"requirements/{name}.txt lacks {missing}; run `make lock`"


def test_the_bigger_sets_contain_the_smaller_ones_at_the_same_versions():
    run, test, bench = pinned("run"), pinned("test"), pinned("bench")
    assert run.items() <= test.items() <= bench.items()

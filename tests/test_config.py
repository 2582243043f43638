"""What is wrong with a setting is told by its name, in words."""

from pathlib import Path

import pytest

from cauldron.config import load_settings
from cauldron.domain.errors import Invalid, InvalidMany


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("slots", "many", "must be a whole number"),
        ("drain_s", "soon", "must be a number"),
        ("guests", "perhaps", "must be true or false"),
        ("log_level", "loud", "is malformed; wanted: debug, info, warning or error."),
        ("synchronous", "off", "is malformed; wanted: SQLite durability: FULL or NORMAL."),
    ],
)
def test_a_malformed_value_is_told_in_words(monkeypatch, name, value, said):
    monkeypatch.setenv(f"CAULDRON_{name}".upper(), value)
    with pytest.raises(InvalidMany) as caught:
        load_settings()
    assert [(p.path, p.message) for p in caught.value.problems] == [(name, said)]


def test_a_list_that_is_no_json_is_told(monkeypatch):
    monkeypatch.setenv("CAULDRON_CORS_ORIGINS", "https://a.example")
    with pytest.raises(InvalidMany) as caught:
        load_settings()
    [problem] = caught.value.problems
    assert (problem.path, problem.message) == ("cors_origins", 'must be JSON, such as ["one", "two"]')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hom = 'x'", 'hom: there is no such setting (did you mean "home"?)'),
        ("home = 3", "home: must be a path"),
        ("home = 'x", "cauldron.toml: Expected"),
        ("home = '\udcff'", "cauldron.toml: 'utf-8' codec"),
    ],
    ids=["unknown", "type", "toml", "bytes"],
)
def test_a_faulty_file_is_told_by_its_name(empty, text, said):
    (empty / "cauldron.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Invalid) as caught:
        load_settings()
    problems = getattr(caught.value, "problems", ())
    told = [f"{p.path}: {p.message}" for p in problems] or [caught.value.message]
    assert any(line.startswith(said) for line in told), told


@pytest.mark.parametrize("level", ["INFO", "debug"])
def test_a_log_level_is_read_in_any_case(monkeypatch, level):
    monkeypatch.setenv("CAULDRON_LOG_LEVEL", level)
    assert load_settings().log_level == level


def test_a_variable_that_is_empty_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("CAULDRON_HOME", "")
    assert load_settings().home == Path("data")

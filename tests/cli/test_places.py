"""Where a studio keeps things is said by URL; what is wrong with one is told without repeating it."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cauldron.adapters.mongo import MongoStore
from cauldron.bootstrap import Studio, naming, studio
from cauldron.cli import app as cli
from cauldron.config import load_settings, without_login
from cauldron.domain.errors import Unavailable
from tests import s3server
from tests.mongod import database

Ask = Callable[..., Result]


def whole_app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(cli.root)
    for noun in ("workers", "cook", "admin"):
        importlib.import_module(f"cauldron.cli.{noun}").register(app)
    return app


@pytest.fixture
def ask(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask("doctor", database_url="…")`` runs a command in this process with these settings."""
    monkeypatch.chdir(home)
    for name in s3server.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)

    def asked(*words: str, **settings: str) -> Result:
        for name, value in settings.items():
            monkeypatch.setenv(name if name.startswith("AWS_") else f"CAULDRON_{name.upper()}", value)
        return CliRunner().invoke(whole_app(), words)

    return asked


@pytest.mark.parametrize(
    ("setting", "url", "said"),
    [
        ("database_url", "postgres://ann:hush@host/db", "must be sqlite:///"),
        ("database_url", "sqlite://", "must be sqlite:///"),
        ("database_url", "sqlite:///", "must be sqlite:///"),
        ("database_url", "mongodb://ann:hush@127.0.0.1:1", "names no database"),
        ("database_url", "mongodb://ann:hu@sh@127.0.0.1/db", "mongodb://"),
        ("blobs_url", "gs://ann:hush@bucket", "must be file:///"),
        ("blobs_url", "s3://ann:hush@bucket/x", "no login belongs into it"),
        ("blobs_url", "s3://bucket/x?endpoint=http://127.0.0.1:9", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_bad_place_is_one_error_that_names_the_setting(ask: Ask, setting: str, url: str, said: str):
    answer = ask("cook", "list", **{setting: url})
    assert answer.exit_code == 2, answer.output
    assert f"settings: {setting}: " in answer.stderr
    assert said in answer.stderr
    assert ":hush" not in answer.output
    assert "hu@sh" not in answer.output
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not list(Path.cwd().rglob("*.db"))


def test_refused_credentials_name_the_setting_and_stay_secret(ask: Ask):
    secrets = {"AWS_ACCESS_KEY_ID": "somebody-else", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen"}
    answer = ask("doctor", blobs_url=s3server.shared().url(), **secrets)
    assert answer.exit_code == 2
    assert "settings: blobs_url: " in answer.stderr
    assert "the credentials are refused" in answer.stderr
    assert "somebody-else" not in answer.output
    assert "not-to-be-seen" not in answer.output


def test_a_database_that_does_not_answer_is_named_and_may_be_tried_again(run):
    url = "mongodb://ann:hush@127.0.0.1:9/db?replicaSet=x"

    async def story() -> None:
        with naming("database_url"):
            await MongoStore(url, patience_s=0.2).open([])

    with pytest.raises(
        Unavailable, match=r"settings: database_url: mongodb://127[.]0[.]0[.]1:9/db"
    ) as failure:
        run(story())
    assert "hush" not in str(failure.value)


def test_the_doctor_names_places_without_logins(ask: Ask):
    with database() as url:
        answer = ask("doctor", "--json", database_url=url)
    assert answer.exit_code == 0, answer.output
    assert f'"store": "{without_login(url)}"' in answer.stdout
    assert without_login("mongodb://ann:hush@a,b/db?x=y") == "mongodb://a,b/db"


@pytest.mark.parametrize("words", [("backup", "x.tar"), ("restore", "x.tar")])
def test_an_archive_of_what_is_not_here_is_refused(ask: Ask, words: tuple[str, ...]):
    with database() as url:
        answer = ask(*words, database_url=url)
    assert answer.exit_code == 1
    assert "the store is in MongoDB" in answer.stderr


def test_nothing_is_left_open_when_the_second_of_two_places_refuses(home: Path, run):
    """A handle on SQLite that nobody closes would keep its threads, and this test from ending."""
    settings = load_settings(home=home, blobs_url="s3://nowhere-at-all/x?endpoint=http://127.0.0.1:9")

    async def story() -> Studio:
        async with studio(settings) as app:
            return app

    with pytest.raises(Exception, match="blobs_url"):
        run(story())

"""Users and keys from the command line, on both engines; what is locked out is let in again there."""

import contextlib
import importlib
import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cauldron.bootstrap import studio
from cauldron.cli import app as cli
from cauldron.config import load_settings
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.identity import Unauthenticated
from tests.mongod import studio_database

ENGINES = ("sqlite", "mongo")


@pytest.fixture(params=ENGINES)
def engine(request, home, monkeypatch):
    monkeypatch.chdir(home)
    with contextlib.ExitStack() as stack:
        if request.param == "mongo":
            monkeypatch.setenv("CAULDRON_DATABASE_URL", stack.enter_context(studio_database()))
        yield request.param


@pytest.fixture
def ask(engine):
    """``ask("user", "list")`` is the JSON that a command prints; ``code`` is how it ends."""
    app = typer.Typer()
    app.callback()(cli.root)
    for noun in ("user", "key", "invitation", "admin", "audit"):
        importlib.import_module(f"cauldron.cli.{noun}").register(app)

    def asked(*words: str, code: int = 0, stdin: str = "") -> Any:
        done = CliRunner().invoke(app, [*words, "--json"], input=stdin)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return asked


async def _sign_in(name, password):
    async with studio(load_settings()) as app:
        user, token = await app.identity.sessions.sign_in(name, password, address="")
        return user, await app.identity.authenticator.session(token.text)


async def _open(key):
    async with studio(load_settings()) as app:
        return await app.identity.authenticator.key(key)


def test_the_first_owner_gets_a_password_that_is_shown_once_and_works(ask, run):
    made = ask("user", "add", "Ann", "--owner")
    assert (made["name"], made["role"], made["account"]) == ("ann", "owner", "local")
    user, who = run(_sign_in("ann", made["password"]))
    assert (user["_id"], who.account) == (made["id"], "local")
    listed = ask("user", "list")["users"]
    assert [each["name"] for each in listed] == ["ann"]
    assert "password" not in json.dumps(listed).replace("hasPassword", "")
    assert ask("user", "add", "eve", "--owner", code=1)["error"]["code"] == "refused"


def test_a_password_may_come_from_standard_input(ask, run):
    made = ask("user", "add", "ann", "--owner", "--password-stdin", stdin="a long pass phrase\nmore\n")
    assert "password" not in made
    assert run(_sign_in("ann", "a long pass phrase"))
    assert ask("user", "reset-password", "ann", "--password-stdin", stdin="short\n", code=2)
    assert ask("user", "reset-password", "ann", "--password-stdin", code=2)


@pytest.mark.parametrize(
    ("words", "account"),
    [
        (("--role", "creator"), "own"),
        (("--role", "creator", "--join"), "local"),
        (("--role", "reviewer"), "local"),
        (("--role", "operator"), "local"),
        (("--role", "service"), "local"),
    ],
)
def test_who_works_on_which_account(ask, words, account):
    ask("user", "add", "bo", *words, code=1)  # not before there is an owner
    ask("user", "add", "ann", "--owner")
    made = ask("user", "add", "bo", *words)
    assert made["account"] == (made["id"] if account == "own" else account)
    assert made["hasPassword"] == ("password" in made) == (words[1] != "service")


def test_malformed_words_are_bad_usage(ask):
    assert ask("user", "add", "ann", "--role", "king", code=2)["error"]["problems"][0]["path"] == "role"
    assert ask("user", "add", "an n", "--owner", code=2)["error"]["problems"][0]["path"] == "name"
    ask("user", "add", "ann", "--owner")
    assert ask("key", "create", "k", "--expires", "soon", code=2)["error"]["problems"]
    assert ask("key", "create", "k", "--scope", "all", code=2)["error"]["problems"]
    assert ask("user", "role", "nobody", "creator", code=1)["error"]["code"] == "not_found"


def test_roles_change_and_people_are_shut_out_and_let_in(ask, run):
    ask("user", "add", "ann", "--owner")
    made = ask("user", "add", "bo")
    assert ask("user", "role", "bo", "reviewer")["role"] == "reviewer"
    assert ask("user", "disable", "bo")["disabled"] is True
    with pytest.raises(Unauthenticated):
        run(_sign_in("bo", made["password"]))
    assert ask("user", "disable", made["id"], "--undo")["disabled"] is False
    assert run(_sign_in("bo", made["password"]))[1].scopes == {"read", "review"}
    assert ask("user", "disable", "ann", code=1)["error"]["code"] == "refused"


def test_a_lost_owner_comes_back(ask, run):
    ask("user", "add", "ann", "--owner")
    key = ask("key", "create", "old")["key"]
    again = ask("user", "recover", "ann")
    assert run(_sign_in("ann", again["password"]))[1].scopes >= {"admin"}
    with pytest.raises(Unauthenticated):
        run(_open(key))


def test_keys_are_made_listed_and_revoked(ask, run):
    ask("user", "add", "ann", "--owner")
    made = ask("key", "create", "nightly", "--scope", "read", "--scope", "export", "--expires", "90d")
    assert run(_open(made["key"])).scopes == {"read", "export"}
    [listed] = ask("key", "list")["keys"]
    assert (listed["label"], listed["scopes"]) == ("nightly", ["read", "export"])
    assert "key" not in listed
    assert "hash" not in listed
    assert listed["lastUsedAt"] is not None
    ask("user", "add", "bo")
    assert ask("key", "list", code=1)["error"]["code"] == "not_found"  # whose?
    assert ask("key", "list", "--user", "bo")["keys"] == []
    ask("key", "revoke", made["id"])
    with pytest.raises(Unauthenticated):
        run(_open(made["key"]))
    assert ask("key", "revoke", "0" * 32, code=1)["error"]["code"] == "not_found"


def test_somebody_is_invited_and_comes_in_once(ask, run):
    ask("user", "add", "ann", "--owner")
    made = ask("invitation", "create", "reviewer", "--label", "for Bo", "--expires", "2h")
    [listed] = ask("invitation", "list")["invitations"]
    assert (listed["role"], listed["label"], listed["usedAt"]) == ("reviewer", "for Bo", None)
    assert "token" not in listed

    async def accept():
        async with studio(load_settings()) as app:
            return await app.identity.invitations.accept(
                made["token"], name="bo", password="a long enough secret 9", address=""
            )

    assert run(accept())["role"] == "reviewer"
    with pytest.raises(NotFound):
        run(accept())
    other = ask("invitation", "create", "creator", "--own-account", "--by", "ann")
    assert ask("invitation", "withdraw", other["id"], "--by", "ann")["withdrawn"] is True
    assert ask("invitation", "withdraw", other["id"], "--by", "ann", code=1)["error"]["code"] == "not_found"
    assert ask("invitation", "create", "reviewer", "--by", "bo", code=1)["error"]["code"] == "forbidden"
    assert ask("invitation", "create", "owner", "--by", "ann", code=1)["error"]["code"] == "refused"
    assert ask("invitation", "create", "creator", "--expires", "soon", "--by", "ann", code=2)["error"]


def test_a_server_for_others_needs_an_owner(ask, run):
    async def exposed(host):
        async with studio(load_settings()) as app:
            await app.identity.check_exposure(host)
            return await app.identity.authenticator.local()

    with pytest.raises(Refused, match="cauldron user add NAME --owner"):
        run(exposed("0.0.0.0"))
    for host in ("192.0.2.1", "::", "studio.example", "", "127.0.0.1.example"):
        with pytest.raises(Refused):
            run(exposed(host))
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8", "[::1]"):
        assert run(exposed(host))
    ask("user", "add", "ann", "--owner")
    assert run(exposed("0.0.0.0")) is None
    assert run(exposed("127.0.0.1")) is None


def test_a_backup_carries_users_and_keys(engine, ask, run, home, tmp_path, monkeypatch):
    if engine == "mongo":
        pytest.skip("archives hold local files only")
    made = ask("user", "add", "ann", "--owner")
    key = ask("key", "create", "k")["key"]
    ask("backup", str(tmp_path / "archive.tar"))
    monkeypatch.setenv("CAULDRON_HOME", str(tmp_path / "new"))
    ask("restore", str(tmp_path / "archive.tar"))
    assert run(_open(key)).user == made["id"]
    assert run(_sign_in("ann", made["password"]))


def test_an_erased_account_leaves_no_user_key_or_session(ask, run):
    ask("user", "add", "ann", "--owner")
    made = ask("user", "add", "bo")
    run(_sign_in("bo", made["password"]))
    ask("key", "create", "k", "--user", "bo")
    done = ask("erase", "account", made["id"], "--apply")
    assert {"users": 1, "api_keys": 1, "sessions": 1}.items() <= done["records"].items()
    assert [each["name"] for each in ask("user", "list")["users"]] == ["ann"]

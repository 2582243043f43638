"""``cauldron points``: what it answers, in what format, and with which exit code."""

import csv
import io
import json

import pytest
import typer
from typer.testing import CliRunner

from cauldron.cli import app as cli
from cauldron.cli import points as commands


@pytest.fixture
def points(home):
    """Run ``cauldron points …``: (exit code, stdout)."""
    app = typer.Typer()
    app.callback()(cli.root)
    commands.register(app)

    def call(*words):
        result = CliRunner().invoke(app, ["points", *words])
        return result.exit_code, result.stdout

    return call


def test_points_are_granted_shown_and_verified(points):
    for _ in range(2):
        code, said = points("grant", "ann", "12.5", "--note", "=welcome", "--id", "g1", "--json")
        assert code == 0
        assert json.loads(said)["availablePts"] == 12.5
    assert points("grant", "ann", "13", "--id", "g1")[0] == 1
    code, said = points("balance", "ann", "--json")
    assert json.loads(said) | {"account": "ann", "heldPts": 0, "byKind": {"promo": 12.5}} == json.loads(said)
    code, said = points("statement", "ann", "--json")
    [row] = json.loads(said)["rows"]
    assert (row["points"], row["group"], row["kind"]) == (12.5, "grant:g1", "PointsGranted")
    code, said = points("statement", "ann", "--of", "mint:promo", "--format", "csv")
    [row] = csv.DictReader(io.StringIO(said))
    assert (row["points"], row["note"]) == ("-12.5", "'=welcome")
    code, said = points("verify", "--json")
    found = json.loads(said)
    assert (code, found["ok"], found["sum"], found["groups"]) == (0, True, 0, 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("grant", "ann", "1.2345"), 2),
        (("grant", "--", "ann", "-5"), 2),
        (("grant", "ann", "nan"), 2),
        (("grant", "a:b", "5"), 2),
        (("grant", "ann", "5", "--kind", "gift"), 2),
        (("statement", "ann", "--of", "nonsense"), 2),
        (("withdraw", "ann", "5"), 1),
        (("refund", "cap:no:1"), 1),
        (("rate", "0"), 2),
        (("buy", "ann", "500"), 2),
        (("payments", "a:b"), 2),
        (("settle", "nothing"), 1),
    ],
)
def test_what_makes_no_sense_is_told(points, words, code):
    assert points(*words)[0] == code


def test_a_rate_is_set_and_shown(points):
    assert json.loads(points("rate", "--json")[1])["microUsdPerPoint"] == 1_000
    assert json.loads(points("rate", "2500", "--json")[1])["microUsdPerPoint"] == 2_500
    assert json.loads(points("rate", "--json")[1])["microUsdPerPoint"] == 2_500


def test_buying_needs_a_rail_and_an_address_to_come_back_to(points, monkeypatch):
    assert points("buy", "ann", "500")[0] == 2
    monkeypatch.setenv("CAULDRON_PUBLIC_URL", "https://studio.test")
    code, said = points("buy", "ann", "500", "--json")
    assert (code, json.loads(said)["error"]["code"]) == (1, "payments_off")
    assert json.loads(points("payments", "ann", "--json")[1]) == {"account": "ann", "payments": []}
    monkeypatch.setenv("CAULDRON_STRIPE_SECRET_KEY", "sk_test_of_nobody")
    code, said = points("buy", "ann", "500", "--json")
    assert (code, "sk_test" in said) == (2, False)
    assert json.loads(said)["error"]["problems"][0]["path"] == "stripe_webhook_secrets"

"""``cauldron key``: API keys of users."""

import re
from typing import Annotated

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.cli.user import user_of
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.identity import ROLES, Principal
from cauldron.ports.storage import Doc
from cauldron.services.identity_keys import key_view

group = typer.Typer(no_args_is_help=True, help="API keys.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Whose; default: the only user there is.")
]
COLUMNS = ("id", "label", "scopes", "expiresAt", "lastUsedAt", "revokedAt")
UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add the ``key`` group to the command."""
    app.add_typer(group, name="key")


@group.command("create")
@command
def create(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is for.")],
    user: User = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What it may do; again for more. Default: all.")
    ] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="90d, 12h or 30m; default: never.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key; it is shown this once."""
    lasts_ms = duration_ms(expires) if expires else None

    async def work(app: Studio) -> tuple[Doc, str]:
        who = acting_for(await user_of(app, user))
        return await app.identity.keys.create(who, label=label, scopes=scope or None, expires_in_ms=lasts_ms)

    doc, key = run(work)
    emit(key_view(doc) | {"key": key}, as_json=as_json, text=key)


@group.command("list")
@command
def list_command(user: User = None, as_json: AsJson = False) -> None:
    """List the keys of a user, oldest first; never the keys themselves."""

    async def work(app: Studio) -> list[Doc]:
        return await app.identity.keys.of((await user_of(app, user))["_id"])

    rows = [key_view(doc) for doc in run(work)]
    shown = [row | {"scopes": ",".join(row["scopes"])} for row in rows]
    emit({"keys": rows}, as_json=as_json, text=table(shown, COLUMNS))


@group.command("revoke")
@command
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as the list shows it.")],
    as_json: AsJson = False,
) -> None:
    """Make a key worthless; a running server notices within five seconds."""

    async def work(app: Studio) -> None:
        who = Principal(account=app.owner, user=app.owner, scopes=ROLES["owner"])
        await app.identity.keys.revoke(who, key_id)

    run(work)
    emit({"id": key_id, "revoked": True}, as_json=as_json)


def acting_for(user: Doc) -> Principal:
    """Acting for a user, who is whoever may write the store."""
    return Principal(account=user["account"], user=user["_id"], scopes=ROLES[user["role"]])


def duration_ms(text: str) -> int:
    """``90d`` in milliseconds. Raises InvalidMany."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if match is None:
        problem = Problem(path="--expires", code="duration_malformed", message="must be like 90d, 12h or 30m")
        raise InvalidMany([problem])
    return int(match[1]) * UNITS_S[match[2]] * 1000

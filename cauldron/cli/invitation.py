"""``cauldron invitation``: let somebody in who chooses their own password."""

from typing import Annotated

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.key import acting_for, duration_ms
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.cli.user import user_of
from cauldron.ports.storage import Doc
from cauldron.services.identity_invitations import invitation_view

group = typer.Typer(no_args_is_help=True, help="Let somebody in who chooses their own password.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who invites; default: the only user there is.")
]
COLUMNS = ("id", "role", "label", "expiresAt", "usedAt", "usedBy")


def register(app: typer.Typer) -> None:
    """Add the ``invitation`` group to the command."""
    app.add_typer(group, name="invitation")


@group.command("create")
@command
def create(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="creator, reviewer or operator.")],
    by: By = None,
    own_account: Annotated[
        bool, typer.Option("--own-account", help="They get an account of their own.")
    ] = False,
    label: Annotated[str, typer.Option(help="For whom it is.")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="7d, 12h or 30m.")] = "7d",
    as_json: AsJson = False,
) -> None:
    """Make an invitation; its token is shown this once. Hand it over: it makes one person a user."""
    lasts_ms = duration_ms(expires)

    async def work(app: Studio) -> tuple[Doc, str]:
        who = acting_for(await user_of(app, by))
        return await app.identity.invitations.create(
            who, role=role, own_account=own_account, label=label, expires_in_ms=lasts_ms
        )

    doc, token = run(work)
    emit(invitation_view(doc) | {"token": token}, as_json=as_json, text=token)


@group.command("list")
@command
def list_command(by: By = None, as_json: AsJson = False) -> None:
    """List the invitations of an account; never their tokens."""

    async def work(app: Studio) -> list[Doc]:
        return await app.identity.invitations.of((await user_of(app, by))["account"])

    rows = [invitation_view(doc) for doc in run(work)]
    emit({"invitations": rows}, as_json=as_json, text=table(rows, COLUMNS))


@group.command("withdraw")
@command
def withdraw(
    invitation_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list shows it.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make an invitation worthless."""

    async def work(app: Studio) -> None:
        await app.identity.invitations.withdraw(acting_for(await user_of(app, by)), invitation_id)

    run(work)
    emit({"id": invitation_id, "withdrawn": True}, as_json=as_json)

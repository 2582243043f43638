"""``cauldron user``: who may use this place, and the way back in for who is locked out."""

import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.domain.errors import InvalidMany, NotFound, Problem
from cauldron.domain.identity import MAX_PASSWORD_BYTES, check_role
from cauldron.ports.storage import Doc
from cauldron.services.identity_users import user_view

group = typer.Typer(no_args_is_help=True, help="Who may use this place.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name, e-mail address or id.")]
FromStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of standard input."),
]
COLUMNS = ("name", "role", "account", "disabled", "createdAt", "id")
NOBODY = "nobody yet: whoever sits at this machine is the owner, until cauldron user add --owner"
PAGE = 200
WORD_BYTES = 15  # 120 random bits for a password made here


def register(app: typer.Typer) -> None:
    """Add the ``user`` group to the command."""
    app.add_typer(group, name="user")


@group.command("add")
@command
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or e-mail address to sign in with.")],
    owner: Annotated[bool, typer.Option("--owner", help="Set up the first owner.")] = False,
    role: Annotated[str, typer.Option(help="creator, reviewer, operator or service.")] = "creator",
    join: Annotated[
        bool, typer.Option("--join", help="A creator who works on this account, not one of their own.")
    ] = False,
    password_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a user; without --password-stdin a password is made, and shown this once."""
    wanted = check_role("owner" if owner else role)
    password, made = _password(password_stdin) if wanted != "service" else (None, None)

    async def work(app: Studio) -> Doc:
        users = app.identity.users
        if owner:
            return await users.set_up(name, password or "")
        account = None if wanted == "creator" and not join else app.owner
        return await users.add(name, role=wanted, actor=app.owner, join=account, password=password)

    _tell(run(work), made, as_json=as_json)


@group.command("list")
@command
def list_command(as_json: AsJson = False) -> None:
    """List users, oldest first."""

    async def work(app: Studio) -> list[Doc]:
        found: list[Doc] = []
        while page := await app.identity.users.page(limit=PAGE, after=found[-1]["_id"] if found else None):
            found += page
        return found

    rows = [user_view(doc) for doc in run(work)]
    emit({"users": rows}, as_json=as_json, text=table(rows, COLUMNS, empty=NOBODY))


@group.command("role")
@command
def role_command(
    name: Name,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="owner, creator, reviewer or operator.")],
    as_json: AsJson = False,
) -> None:
    """Give a user another role; what their keys may do shrinks with it."""
    wanted = check_role(role)
    _tell(_changed(name, lambda app, user: _change(app, user, role=wanted)), None, as_json=as_json)


@group.command("disable")
@command
def disable(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Shut a user out: sessions end, keys are worth nothing meanwhile."""
    _tell(_changed(name, lambda app, user: _change(app, user, disabled=not undo)), None, as_json=as_json)


@group.command("reset-password")
@command
def reset_password(name: Name, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Give a user another password; their sessions end, their keys stay."""
    password, made = _password(password_stdin)
    changed = _changed(name, lambda app, user: app.identity.users.reset_password(user, password))
    _tell(changed, made, as_json=as_json)


@group.command("recover")
@command
def recover(name: Name, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Make a user an owner who can sign in again: new password; old sessions and keys end."""
    password, made = _password(password_stdin)
    changed = _changed(name, lambda app, user: app.identity.users.recover(user, password))
    _tell(changed, made, as_json=as_json)


async def _change(app: Studio, user: Doc, **changes: Any) -> Doc:
    return await app.identity.users.change(user, actor=app.owner, **changes)


def _changed(name: str, change: Callable[[Studio, Doc], Awaitable[Doc]]) -> Doc:
    """A user after a change. Raises NotFound."""

    async def work(app: Studio) -> Doc:
        return await change(app, await app.identity.users.named(name))

    return run(work)


def _password(from_stdin: bool) -> tuple[str, str | None]:
    """A password, and once more when it was made here and must be shown. Raises InvalidMany."""
    if not from_stdin:
        made = secrets.token_urlsafe(WORD_BYTES)
        return made, made
    line = sys.stdin.readline(MAX_PASSWORD_BYTES + 2).rstrip("\r\n")
    if not line:
        problem = Problem(path="--password-stdin", code="password_empty", message="nothing was sent")
        raise InvalidMany([problem])
    return line, None


def _tell(user: Doc, password: str | None, *, as_json: bool) -> None:
    body = user_view(user) | ({"password": password} if password else {})
    emit(body, as_json=as_json)


async def user_of(app: Studio, name: str | None) -> Doc:
    """The user that a command is about: the one named, or the only one there is. Raises NotFound."""
    if name is not None:
        return await app.identity.users.named(name)
    found = await app.identity.users.page(limit=2)
    if len(found) != 1:
        raise NotFound(
            "say whose: --user NAME" if found else "there are no users: `cauldron user add --owner`"
        )
    return found[0]

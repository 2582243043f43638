"""The ``cauldron`` command: one module per noun, put together here."""

import importlib
import sys
from collections.abc import Sequence

import typer

from cauldron import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
NOUNS = (
    "collection",
    "imports",
    "export",
    "tool",
    "spell_versions",
    "cast",
    "cook",
    "review",
    "records",
    "callback",
    "example",
    "serve",
    "workers",
    "migrate",
    "audit",
    "points",
    "sponsor",
    "user",
    "key",
    "invitation",
    "admin",
)
# The first word of a command and the module it lives in: only that one is loaded.
HOMES = {noun: noun for noun in ("collection", "export", "tool", "cast", "cook", "review", "sponsor")}
HOMES |= {"spell": "spell_versions"}
HOMES |= dict.fromkeys(("piece", "output", "upload"), "records")
HOMES |= {"user": "user", "key": "key", "invitation": "invitation", "callback": "callback"}
HOMES |= {"points": "points"}
HOMES |= {"import": "imports", "init": "imports", "run-example": "example"}
HOMES |= {"serve": "serve", "worker": "workers", "migrate": "migrate"}
HOMES |= dict.fromkeys(("audit", "clean", "erase"), "audit")
HOMES |= dict.fromkeys(("rebuild", "backup", "restore", "doctor"), "admin")


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


SHOW_VERSION = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")


@app.callback()
def root(version: bool = SHOW_VERSION) -> None:
    """Cauldron: compose tools into spells, cook whole collections, export the drop."""


def load(words: Sequence[str]) -> None:
    """Add the commands that ``words`` may mean: one module, or all of them."""
    home = HOMES.get(words[0]) if words else None
    for noun in (home,) if home else NOUNS:
        importlib.import_module(f"cauldron.cli.{noun}").register(app)


def main() -> None:
    """Entry point of the ``cauldron`` command."""
    words = sys.argv[1:]
    if words != ["--version"]:
        load(words)
    app()

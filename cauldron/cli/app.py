"""The ``cauldron`` command: one module per noun, put together here."""

import importlib

import typer

from cauldron import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
NOUNS = ("collection", "imports", "export", "tool", "spell", "cast", "cook", "review", "example", "admin")


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


SHOW_VERSION = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")


@app.callback()
def root(version: bool = SHOW_VERSION) -> None:
    """Cauldron: compose tools into spells, cook whole collections, export the drop."""


def main() -> None:
    """Entry point of the ``cauldron`` command."""
    for noun in NOUNS:
        importlib.import_module(f"cauldron.cli.{noun}").register(app)
    app()

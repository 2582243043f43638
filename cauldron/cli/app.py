"""The ``cauldron`` command: what is typed decides which module is loaded."""

import functools
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from cauldron import __version__
from cauldron.cli.contents import COMMANDS
from cauldron.cli.ending import ended_well


@functools.cache
def found(name: str) -> Any:
    """The command or group called ``name``, from its module; None where there is none."""
    entry = COMMANDS.get(name)
    if entry is None:
        return None
    home = typer.Typer()
    home.callback()(lambda: None)  # so that a single command stays below its name
    importlib.import_module(f"cauldron.cli.{entry.module}").register(home)
    command = typer.main.get_group(home).commands[name]
    _without_flag_types(command)
    return command


def _without_flag_types(command: Any) -> None:
    """Flags take no value, so help names no type for them."""
    for param in (*command.params, command.get_help_option(typer.Context(command))):
        _typeless(param)
    for below in getattr(command, "commands", {}).values():
        _without_flag_types(below)


def _typeless(param: Any) -> Any:
    if isinstance(param, TyperOption) and param.is_flag and param.metavar is None:
        param.metavar = " "
    return param


class Contents(TyperGroup):
    """The commands of the first level: known by their line, loaded when one is called."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.listing = False
        for name, entry in COMMANDS.items():
            line = TyperCommand(name, callback=None, help=entry.said, rich_help_panel=entry.panel)
            self.add_command(line)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self.commands.get(cmd_name) if self.listing else found(cmd_name)

    def get_params(self, ctx: Any) -> list[Any]:
        return [_typeless(param) for param in super().get_params(ctx)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._listed():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._listed():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _listed(self) -> Iterator[None]:
        self.listing = True
        try:
            yield
        finally:
            self.listing = False


app = typer.Typer(cls=Contents, no_args_is_help=True, pretty_exceptions_enable=False)


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
    with ended_well():
        app()

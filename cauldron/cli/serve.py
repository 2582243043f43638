"""``cauldron serve``: the API, live progress and a worker in one process."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import Annotated

import typer
import uvloop

from cauldron import __version__
from cauldron.api.server import Server, address_of, heed_signals, listen
from cauldron.bootstrap import Studio, studio
from cauldron.cli.output import command, emit, talk
from cauldron.config import Settings, load_settings
from cauldron.log import set_up_logging

AsJson = Annotated[bool, typer.Option("--json", help="Print the address as a JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the ``serve`` command."""
    app.command("serve")(serve)


@command
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: CAULDRON_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port; 0: any free one; default: CAULDRON_PORT.")
    ] = None,
    workers: Annotated[
        bool, typer.Option("--workers/--no-workers", help="Whether jobs run in this process, too.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Start the studio: HTTP API, live progress, and a worker, until told to stop."""
    settings = load_settings()
    set_up_logging(settings.log_level if "log_level" in settings.model_fields_set else "info")
    logging.captureWarnings(True)

    def tell(address: str) -> None:
        body = {"url": address, "pid": os.getpid(), "version": __version__, "workers": workers}
        emit(body, as_json=as_json, text=address)
        talk.print(f"Cauldron {__version__} is open at {address} (Ctrl-C closes it)")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        finished = runner.run(
            _serve(
                settings,
                host=host if host is not None else settings.host,
                port=port if port is not None else settings.port,
                workers=workers,
                tell=tell,
            )
        )
    talk.print("closed" if finished else "closed; jobs that were not finished go back to the queue")


async def _serve(
    settings: Settings, *, host: str, port: int, workers: bool, tell: Callable[[str], None]
) -> bool:
    listening = listen(host, port)  # before anything else: a taken port is told at once
    try:
        async with studio(settings) as app:
            return await _open(app, listening, host=host, workers=workers, tell=tell)
    finally:
        listening.close()


async def _open(
    app: Studio, listening: socket.socket, *, host: str, workers: bool, tell: Callable[[str], None]
) -> bool:
    await app.identity.check_exposure(host)
    engine, measuring = app.served(work=workers)
    server = Server(app, engine, measuring, drain_s=app.settings.drain_s)
    heed_signals(server)
    return await server.run(listening, ready=lambda: tell(address_of(listening)))

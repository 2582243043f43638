"""Whether the process lives, whether it can work, and which version it is."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cauldron import __version__
from cauldron.api.access import TheStudio
from cauldron.api.answers import json_answer
from cauldron.api.problems import problem
from cauldron.api.shapes import Answer
from cauldron.bootstrap import Studio
from cauldron.domain.errors import CauldronError
from cauldron.engine import Engine
from cauldron.services.estimating import SPARE_BYTES

router = APIRouter(tags=["health"])
STORE_S = 2.0  # for the store to answer
OK = "ok"


class Alive(Answer):
    """The process answers."""

    status: str


class Version(Answer):
    """What runs here."""

    version: str


class Ready(Answer):
    """Every part that was looked at, and ``ok`` or what is wrong with it."""

    ready: bool
    checks: dict[str, str]


@router.get("/healthz", summary="Whether the process lives")
async def alive() -> Alive:
    """Answers as long as the process can answer at all."""
    return Alive(status="alive")


@router.get("/api/v1/version", summary="The version that runs here")
async def version() -> Version:
    """The version of the studio."""
    return Version(version=__version__)


@router.get("/readyz", summary="Whether the process can work", responses={200: {"model": Ready}})
async def ready(request: Request, studio: TheStudio) -> Response:
    """503 with the reasons while the store is out of reach, the disk is full or a loop of the engine died."""
    checks = {
        "store": await _store(studio),
        "engine": _engine(request.app.state.engine),
        "disk": _disk(studio),
    }
    wrong = [f"{name}: {said}" for name, said in checks.items() if said != OK]
    if wrong:
        answer = problem(503, "not_ready", "; ".join(wrong), ready=False, checks=checks)
        answer.headers["retry-after"] = "5"
        return answer
    return json_answer({"ready": True, "checks": checks})


async def _store(studio: Studio) -> str:
    try:
        async with asyncio.timeout(STORE_S):
            await studio.store.get("cursors", ["readyz"])
    except TimeoutError:
        return f"no answer within {STORE_S:g} s"
    except CauldronError as failure:
        return failure.code
    return OK


def _engine(engine: Engine | None) -> str:
    if engine is None:
        return OK  # none was asked for in this process
    if engine.broken:
        return engine.broken.partition(" (")[0]  # the reason is for the log
    return "the server is stopping" if engine.stopping else OK


def _disk(studio: Studio) -> str:
    try:
        free = studio.free_bytes()
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return OK if free >= SPARE_BYTES else f"only {free} bytes are free"

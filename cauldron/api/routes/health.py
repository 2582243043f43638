"""Whether the process lives, whether it can work, and which version it is."""

from fastapi import APIRouter

from cauldron import __version__
from cauldron.api.shapes import Answer

router = APIRouter(tags=["health"])


class Alive(Answer):
    """The process answers."""

    status: str


class Version(Answer):
    """What runs here."""

    version: str


@router.get("/healthz", summary="Whether the process lives")
async def alive() -> Alive:
    """Answers as long as the process can answer at all."""
    return Alive(status="alive")


@router.get("/api/v1/version", summary="The version that runs here")
async def version() -> Version:
    """The version of the studio."""
    return Version(version=__version__)

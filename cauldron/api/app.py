"""The application: routes behind layers that authenticate, bound and describe."""

from fastapi import FastAPI

from cauldron import __version__
from cauldron.api import problems
from cauldron.api.routes import collections, cooks, health, internal
from cauldron.bootstrap import Studio

ROUTERS = (health.router, collections.router, cooks.router, internal.router)


def create_app(studio: Studio) -> FastAPI:
    """The API over an open studio."""
    app = FastAPI(title="Cauldron", version=__version__, docs_url=None, redoc_url=None)
    app.state.studio = studio
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app

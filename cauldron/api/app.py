"""The application: routes behind layers that log, bound, authenticate and replay."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from cauldron import __version__
from cauldron.api import (
    authentication,
    bounds,
    error_pages,
    forwarded,
    headers,
    heads,
    idempotency,
    mcp,
    openapi,
    problems,
    rate_limits,
    request_log,
    shortcuts,
    sub_path,
)
from cauldron.api.known_queries import only_known_queries
from cauldron.api.live import sse, tails, websocket
from cauldron.api.routes import (
    analytics,
    api_page,
    callbacks,
    casts,
    collections,
    cooks,
    exports,
    health,
    identity,
    internal,
    metrics,
    outputs,
    payments,
    pieces,
    points,
    points_page,
    purchases,
    sessions,
    setup,
    sign_in_page,
    spell_pages,
    spell_runs,
    spell_versions,
    spells,
    tools,
    uploads,
)
from cauldron.bootstrap import Studio
from cauldron.engine import Engine
from cauldron.services.measuring import Measuring

# A layer is a pure ASGI class made with (the application behind it, the studio).
Layer = Callable[[ASGIApp, Studio], ASGIApp]
LAYERS: tuple[Layer, ...] = (  # outermost first
    tails.Tails,
    forwarded.Forwarded,
    sub_path.SubPath,
    request_log.RequestLog,
    headers.SecurityHeaders,
    error_pages.ErrorPages,
    problems.Failures,
    bounds.Bounds,
    authentication.Authentication,
    rate_limits.RateLimits,
    idempotency.Idempotency,
    heads.Heads,
    shortcuts.Shortcuts,
)
ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    metrics.router,
    setup.router,
    sessions.router,
    identity.router,
    collections.router,
    cooks.router,
    pieces.router,
    outputs.router,
    uploads.router,
    tools.router,
    sign_in_page.router,
    api_page.router,
    spell_pages.router,
    spell_runs.router,
    spell_versions.router,
    payments.router,
    purchases.router,
    points.router,
    points_page.router,
    spells.router,
    casts.router,
    exports.router,
    analytics.router,
    callbacks.router,
    internal.router,
)
RAW_ROUTES: tuple[BaseRoute, ...] = (
    *sse.ROUTES,
    *spell_runs.ROUTES,
    *websocket.ROUTES,
)  # beside FastAPI's own


class Api(FastAPI):
    """FastAPI with our layers around everything, its own error handling included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As any Starlette application: our own layers measure and trace, not FastAPI's telemetry."""
        await Starlette.__call__(self, scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The document at ``/api/v1/openapi.json``."""
        return openapi.describe(self, RAW_ROUTES)

    def build_middleware_stack(self) -> ASGIApp:
        """The layers, outermost first, then FastAPI."""
        app = super().build_middleware_stack()
        for layer in reversed(LAYERS):
            app = layer(app, self.state.studio)
        return app


def create_app(studio: Studio, *, engine: Engine | None = None, measuring: Measuring | None = None) -> Api:
    """The API over an open studio; ``engine`` is what runs beside it in this process."""
    app = Api(
        title="Cauldron",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": studio.settings.root_path}] if studio.settings.root_path else None,
    )
    app.state.studio, app.state.engine, app.state.measuring = studio, engine, measuring
    app.router.routes.extend((*RAW_ROUTES, *mcp.ROUTES))
    request_log.PATHS.update(
        {r.endpoint: r.path for r in (*RAW_ROUTES, *mcp.ROUTES) if isinstance(r, Route | WebSocketRoute)}
    )
    own = [route for router in ROUTERS for route in router.routes]
    problems.install(app, routes=[*app.router.routes, *own])
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(only_known_queries)])
    return app

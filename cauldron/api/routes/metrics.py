"""What Prometheus reads."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from cauldron.api.access import TheStudio, principal_of
from cauldron.api.origins import is_from_this_machine
from cauldron.engine import Engine
from cauldron.services.measuring import Measuring

router = APIRouter(tags=["health"])
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Metrics."}},
)
async def metrics(request: Request, studio: TheStudio) -> Response:
    """For operators; with the setting `CAULDRON_METRICS_OPEN` also for whoever asks on this machine."""
    if not (studio.settings.metrics_open and is_from_this_machine(request.scope, request.headers)):
        principal_of(request).need("operate")
    engine: Engine | None = request.app.state.engine
    measuring: Measuring | None = request.app.state.measuring
    for loop, runs in (engine.loops if engine is not None else {}).items():
        studio.metrics.set("cauldron_engine_up", float(runs), loop=loop)
    for via in ("sse", "websocket"):
        studio.metrics.set(f"cauldron_{via}_clients", studio.feeds.open_streams(via))
    if measuring is not None:
        await measuring.look()
    return Response(studio.metrics.exposition(), headers={"content-type": EXPOSITION})

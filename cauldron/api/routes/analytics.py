"""Analytics of a cook: approval per trait, cost and duration, failures by reason."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from cauldron.api.access import Reader, TheStudio, caller_of
from cauldron.api.answers import json_answer
from cauldron.api.shapes import Answer
from cauldron.services.owned import owned

router = APIRouter(prefix="/api/v1", tags=["analytics"])


class Spread(Answer):
    """How a number is spread; quantiles are right to one percent."""

    count: int
    total: float
    mean: float | None
    max: float
    p10: float | None
    p50: float | None
    p90: float | None
    p99: float | None


class Failure(Answer):
    """Pieces that failed for one reason."""

    code: str
    count: int


class ValueApproval(Answer):
    """Pieces that show one value of a trait; the rate is a share of those decided on."""

    value: str
    pieces: int
    approved: int
    rejected: int
    culled: int
    unreviewed: int
    approval_rate: float | None


class TraitApproval(Answer):
    """A trait; ``omitted`` values with few pieces are left out."""

    trait: str
    omitted: int
    values: list[ValueApproval]


class Analytics(Answer):
    """What a cook came to, as of its commit ``seq``."""

    cook_id: str
    seq: int
    states: dict[str, int]
    approval_rate: float | None
    duration_ms: Spread
    cost_usd: Spread
    failures: list[Failure]
    traits: list[TraitApproval]


@router.get(
    "/cooks/{cook_id}/analytics",
    summary="Approval per trait, cost, duration and failures of a cook",
    responses={200: {"model": Analytics}},
)
async def get_analytics(
    cook_id: Annotated[str, Path(max_length=200)], studio: TheStudio, who: Reader
) -> Response:
    """Worked out anew only when the cook has changed."""
    await owned(studio.store, "cook_status", cook_id, caller=caller_of(studio, who), noun="cook")
    return json_answer({"cookId": cook_id} | await studio.workshop.analysing.of(cook_id))

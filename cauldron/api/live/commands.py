"""Commands that arrive on a WebSocket: the same services, scopes and bounds as the routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from cauldron.api.access import caller_of
from cauldron.api.shapes import Body, Malformed
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Invalid, Problem, Refused
from cauldron.domain.identity import Principal, Scope
from cauldron.services.cooking import Wanted
from cauldron.services.feed_wiring import shown
from cauldron.services.owned import owned

B = TypeVar("B", bound=Body)


class StartBody(Body):
    """A cook to start; without an amount the rest of the supply."""

    collection_id: str = Field(max_length=200)
    amount: int | None = Field(default=None, ge=1)
    seed: str | None = Field(default=None, max_length=200)


class SteerBody(Body):
    """A cook to pause, resume or stop."""

    cook_id: str = Field(max_length=200)
    reason: str = Field(default="", max_length=1000)


class DecideBody(Body):
    """A piece to approve or reject."""

    piece_id: str = Field(max_length=200)
    reason: str = Field(default="", max_length=1000)


@dataclass(frozen=True, slots=True)
class Order:
    """One command: who gives it, and the id under which it is carried out once."""

    studio: Studio
    who: Principal
    name: str
    key: str


Result = dict[str, Any]


async def _start(order: Order, body: StartBody) -> Result:
    studio, caller = order.studio, caller_of(order.studio, order.who)
    await owned(studio.store, "collections", body.collection_id, caller=caller, noun="collection")
    wanted = Wanted(
        collection_id=body.collection_id, amount=body.amount, seed=body.seed, key=f"ws:{order.key}"
    )
    started = await studio.cooking.start(wanted, caller=caller)
    return {"cookId": started.cook_id, "castId": None, "fresh": started.fresh}


async def _steer(order: Order, body: SteerBody) -> Result:
    studio, caller = order.studio, caller_of(order.studio, order.who)
    cook = await owned(studio.store, "cook_status", body.cook_id, caller=caller, noun="cook")
    if cook.get("imported"):
        raise Refused("this cook came from an earlier system: it is kept as it was")
    steer = getattr(studio.cooking, order.name)
    await steer(body.cook_id, actor=order.who.user, reason=body.reason)
    status = shown(await studio.cooking.status(body.cook_id))
    return {"cookId": body.cook_id, "castId": None, "status": status}


async def _decide(order: Order, body: DecideBody) -> Result:
    studio, caller = order.studio, caller_of(order.studio, order.who)
    piece = await owned(studio.store, "pieces", body.piece_id, caller=caller, noun="piece")
    if piece.get("imported"):
        raise Refused("this piece came from an earlier system: it is kept as it was decided there")
    changed = await studio.reviewing.review(
        piece["cookId"],
        order.name,
        pieces=[piece["number"]],
        actor=order.who.user,
        reason=body.reason,
        key=f"ws:{order.who.user}:{order.key}",
    )
    await studio.workshop.review_queue.decided([body.piece_id])
    return {"cookId": piece["cookId"], "castId": None, "pieceId": body.piece_id, "changed": changed > 0}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a command takes, what it needs, and what it does."""

    body: type[Body]
    scope: Scope
    carry_out: Callable[[Order, Any], Awaitable[Result]]


COMMANDS: Mapping[str, Kind] = {
    "start": Kind(StartBody, "cook", _start),
    "pause": Kind(SteerBody, "cook", _steer),
    "resume": Kind(SteerBody, "cook", _steer),
    "stop": Kind(SteerBody, "cook", _steer),
    "approve": Kind(DecideBody, "review", _decide),
    "reject": Kind(DecideBody, "review", _decide),
}


OF_THE_SOCKET = ("subscribe", "unsubscribe")  # carried out where the connection is


async def carry_out(order: Order, payload: object) -> Result:
    """Do what a command says.

    Raises:
        CauldronError: it is malformed, not allowed, or refused.
    """
    kind = COMMANDS.get(order.name)
    if kind is None:
        names = ", ".join((*OF_THE_SOCKET, *COMMANDS))
        raise Invalid(f"command: {order.name[:50]!r} is not one of {names}")
    order.who.need(kind.scope)
    return await kind.carry_out(order, parsed(kind.body, payload))


def parsed(shape: type[B], payload: object) -> B:
    """A payload as its body. Raises Malformed."""
    try:
        return shape.model_validate(payload)
    except ValidationError as bad:
        problems = [
            Problem(
                path=".".join(("payload", *map(str, each["loc"]))), code=each["type"], message=each["msg"]
            )
            for each in bad.errors()
        ]
        raise Malformed(problems) from bad

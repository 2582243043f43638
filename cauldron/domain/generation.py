"""The generation output: the record of one tool execution, schema version 2."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cauldron.domain.events import StepRecord
from cauldron.domain.times import iso

SCHEMA_VERSION = 2
STATUSES = ("pending", "processing", "success", "failed", "cancelled", "timeout")
TERMINAL = frozenset({"success", "failed", "cancelled", "timeout"})
DELIVERY_STATUSES = ("skipped", "pending", "sent", "dropped")
# Why an execution or a job ended without a result, beside the codes of failures that have a class.
FAILURES: Mapping[str, str] = {
    "invalid_inputs": "The inputs are not what the tool takes.",
    "tool_error": "The tool raised an error.",
    "tool_crashed": "The process that ran the tool died.",
    "tool_unavailable": "No runner for tools of this kind is set up here.",
    "timeout": "The tool took longer than it may, or no end of it was ever recorded.",
    "out_of_memory": "The tool needs more memory than there is.",
    "internal_error": "The runner itself broke; the log says more.",
    "worker_lost": "Worker after worker died while it made this.",
    "snapshot_missing": "What the job was to be made from is not in the store any more.",
    "points_exhausted": "The points that were set aside were used up.",
    "cancelled": "Somebody cancelled it.",
    "error": "It failed, and nobody said why.",
    "failed": "An earlier system said that it failed, and no more.",
    "no_document": "An earlier system kept executions of a cast, but not the cast.",
    "stale_at_migration": "An earlier system had left it running; nothing of it is run again.",
}
# Written by delivery, not folded from a stream.
DELIVERED = frozenset({"deliveryStatus", "deliveryTimestamp", "deliveryAttempts", "deliveryError"})


class Parents(NamedTuple):
    """What an execution belongs to; absent ones are None. One is made for every record: a tuple is cheap."""

    owner: str
    visibility: str
    environment: str
    notification_platform: str
    cook_id: str | None = None
    cast_id: str | None = None
    spell_id: str | None = None
    collection_id: str | None = None
    piece_id: str | None = None
    payer: str = ""  # whose points pay for it; empty: nobody's, it is free of charge
    initiator: str = ""  # who began it, where that is not whose it is


def first_delivery_status(platform: str) -> str:
    """The delivery status at creation: nothing is owed to the platform ``none``."""
    return "skipped" if platform == "none" else "pending"


def output_document(output_id: str, step: StepRecord, parents: Parents, *, seq: int) -> dict[str, Any]:
    """The ``generationOutputs`` document of a finished step.

    ``durationMs`` is response − request; ``costUsd`` is micro-USD / 10⁶, and
    ``costSource`` says whether it was reported, computed or is unknown. ``seq``
    is the commit of the parent's stream that the record was folded from.
    """
    start, end = step["startMs"], step["endMs"]
    error = step.get("error")
    document: dict[str, Any] = {
        "_id": output_id,
        "schemaVersion": SCHEMA_VERSION,
        "toolId": step["toolId"],
        "toolVersion": step["toolVersion"],
        "toolDisplayName": step["toolDisplayName"],
        "status": step["status"] if step["status"] in TERMINAL else "failed",
        "statusReason": error["code"] if error else None,
        "error": error,
        "requestTimestamp": iso(start),
        "responseTimestamp": iso(end),
        "durationMs": end - start,
        "webhookReceivedAt": None,
        "externalRunId": step.get("runId"),
        "costUsd": step["costMicroUsd"] / 1_000_000,
        "costSource": step["costSource"],
        "pointsSpent": 0,
        "protocolNetPoints": 0,
        "notificationPlatform": parents.notification_platform,
        "deliveryStatus": first_delivery_status(parents.notification_platform),
        "deliveryTimestamp": None,
        "deliveryAttempts": 0,
        "deliveryError": None,
        "castId": parents.cast_id,
        "cookId": parents.cook_id,
        "spellId": parents.spell_id,
        "collectionId": parents.collection_id,
        "pieceId": parents.piece_id,
        "step": step["step"],
        "attempt": step.get("attempt", 1),
        "owner": parents.owner,
        "visibility": parents.visibility,
        "environment": parents.environment,
        "inputs": step["inputs"],
        "outputs": step["outputs"],
        "cacheKey": step.get("cacheKey"),
        "cached": step.get("cached", False),
        "seq": seq,
    }
    if parents.payer:
        document |= {
            "initiatorAccountId": parents.initiator or parents.owner,
            "payerAccountId": parents.payer,
        }
    return document | _points(step["charge"]) if "charge" in step else document


def _points(charge: dict[str, int]) -> dict[str, float]:
    """Who got what of the points charged for a step: spent = provider + creator + net."""
    taken, provider, creator = charge["takenMilli"], charge["providerMilli"], charge["creatorMilli"]
    return {
        "pointsSpent": taken / 1000,
        "providerPoints": provider / 1000,
        "creatorPoints": creator / 1000,
        "protocolNetPoints": (taken - provider - creator) / 1000,
    }

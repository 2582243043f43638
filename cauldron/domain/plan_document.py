"""A plan as a readable JSON document: one line per piece."""

from collections.abc import Iterator
from typing import Any

import orjson

from cauldron.domain.plan import Plan, Selection


def plan_lines(plan: Plan) -> Iterator[bytes]:
    """The lines of the document, each with its line feed.

    Shape: ``{cauldronPlan, collection, collectionHash, planHash, seed, supply,
    pieces: [{slot, traits, seed, hidden?, subCollection?, oneOfOne?}]}``; one piece per
    line, in the order of the slots.
    """
    head = {
        "cauldronPlan": 1,
        "collection": plan.collection.name,
        "collectionHash": plan.collection_hash,
        "planHash": plan.plan_hash,
        "seed": plan.seed,
        "supply": plan.supply,
    }
    yield orjson.dumps(head)[:-1] + b',"pieces":[\n'
    for selection in plan.selections():
        comma = b"" if selection.slot == plan.supply - 1 else b","
        yield orjson.dumps(piece_document(selection)) + comma + b"\n"
    yield b"]}\n"


def piece_document(selection: Selection) -> dict[str, Any]:
    """One piece of the document."""
    parts: dict[str, Any] = {
        "slot": selection.slot,
        "traits": dict(selection.traits),
        "seed": selection.seed,
    }
    if selection.hidden:
        parts["hidden"] = dict(selection.hidden)
    if selection.sub_collection is not None:
        parts["subCollection"] = selection.sub_collection
    if selection.one_of_one is not None:
        parts["oneOfOne"] = selection.one_of_one
    return parts

"""The feeds of a studio: what is shown of cooks and casts at the start of a stream."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from cauldron.domain.envelopes import Envelope, progress
from cauldron.ports.storage import Doc
from cauldron.services.casting import Casting
from cauldron.services.cooking import Cooking
from cauldron.services.feed_resuming import Source
from cauldron.services.feed_standing import standing
from cauldron.services.feeds import Feeds
from cauldron.services.identity_proofs import Authenticator
from cauldron.services.projecting import stream_of

__all__ = ["Feeds", "feeds_over"]
SHOWN = 20  # cooks and casts in the snapshot of an account
LEFT_OUT = ("owner", "visibility", "schemaVersion", "configHash", "creditTxId", "imported", "legacyId")


def feeds_over(cooking: Cooking, casting: Casting, authenticator: Authenticator) -> Feeds:
    """Feeds over the logs of cooks and casts."""

    async def cook_snapshot(cook_id: str) -> tuple[dict[str, Any], int]:
        status = await cooking.status(cook_id)
        ids = {"cookId": cook_id, "castId": None, "collectionId": status["collectionId"]}
        return ids | {"status": shown(status)}, int(status.get("seq") or 0)

    async def cast_snapshot(cast_id: str) -> tuple[dict[str, Any], int]:
        cast = await casting.get(cast_id)
        ids = {"cookId": cast.get("cookId"), "castId": cast_id, "spellId": cast["spellId"]}
        return ids | {"status": shown(cast)}, int(cast.get("seq") or 0)

    async def account_snapshot(account: str) -> dict[str, Any]:
        cooks = await cooking.listing(owner=account, limit=SHOWN)
        casts = await cooking.store.find(
            "casts", {"owner": account, "cookId": None}, order=("-startedAt",), limit=SHOWN
        )
        listed = {"cooks": [shown(doc) for doc in cooks], "casts": [_brief(doc) for doc in casts]}
        return {"cookId": None, "castId": None} | listed

    async def cook_progress(cook_id: str, fresh: bool) -> Envelope:
        folded = await cooking.cooks.load(stream_of(cook_id), fresh=fresh)
        return progress(folded.state, seq=folded.seq)

    cooks = Source(
        streams=cooking.cooks.streams,
        snapshot=cook_snapshot,
        progress=cook_progress,
        take=cooking.cooks.take,
    )
    casts = Source(streams=casting.casts.streams, snapshot=cast_snapshot)
    return Feeds(
        sources={"cook": cooks, "cast": casts},
        account_snapshot=account_snapshot,
        clock=casting.clock,
        new_id=casting.new_id,
        standing=partial(standing, authenticator),
    )


def shown(doc: Doc) -> dict[str, Any]:
    """A status or cast as its owner may see it."""
    return {key: value for key, value in doc.items() if not key.startswith("_") and key not in LEFT_OUT}


def _brief(cast: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("spellId", "spellName", "cookId", "status", "startedAt", "completedAt", "costUsd", "error")
    return {"castId": cast["_id"]} | {key: cast.get(key) for key in kept}

"""Reading media: only what the caller's own records lead to, and checks of references that come in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import InvalidMany, NotFound, Problem
from cauldron.domain.media import digest_of
from cauldron.persistence.tables import MEDIA_GRANTS
from cauldron.ports.storage import Store
from cauldron.services.casting import Caller
from cauldron.services.media_grants import grant_id, grants, media_in

DIGEST = re.compile(r"[0-9a-f]{64}")
PAGE = 500
MOST_LOOKED_UP = 500  # digests of one request that only pieces may lead to


@dataclass(slots=True)
class MediaAccess:
    """Knows who may read what."""

    store: Store

    async def mime(self, digest: str, *, caller: Caller) -> str:
        """The type of a content that the caller may read. Raises NotFound, whatever the reason."""
        if DIGEST.fullmatch(digest):
            granted = await self._granted([digest], caller)
            if digest in granted:
                return granted[digest]
            made = await self._made(digest, caller)
            if made is not None:
                return made
        raise NotFound(f"there is no media {digest!r:.80}")

    async def _granted(self, digests: Sequence[str], caller: Caller) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(digests), PAGE):
            part = digests[start : start + PAGE]
            docs = await self.store.get(MEDIA_GRANTS, [grant_id(caller.account, each) for each in part])
            for digest, doc in zip(part, docs, strict=True):
                if doc is not None and doc["environment"] == caller.environment:
                    found[digest] = doc["mime"]
        return found

    async def _made(self, digest: str, caller: Caller) -> str | None:
        """The type of what one of the caller's pieces shows."""
        where = {"output.media": f"sha256:{digest}", "owner": caller.account}
        for doc in await self.store.find("pieces", where, order=("output.media", "owner"), limit=20):
            if doc["environment"] == caller.environment:
                return str(doc["output"].get("mime") or "application/octet-stream")
        return None

    async def check(self, value: Any, *, caller: Caller, path: str = "inputs") -> None:
        """See to it that every media reference inside ``value`` is one that the caller may read.

        Raises:
            InvalidMany: one is malformed, or there is no such media (for this caller).
        """
        named = {digest_of(ref): where for where, ref in reversed(list(media_in(value, path)))}
        malformed = [where for digest, where in named.items() if not DIGEST.fullmatch(digest)]
        granted = {} if malformed else await self._granted(list(named), caller)
        rest = [digest for digest in named if digest not in granted]
        strange = malformed or [
            named[digest]
            for digest in rest
            if len(rest) > MOST_LOOKED_UP or await self._made(digest, caller) is None
        ]
        if strange:
            message = "there is no such media: upload it first"
            raise InvalidMany(
                [Problem(path=where, code="media_missing", message=message) for where in strange[:50]]
            )

    async def grant(self, value: Any, *, caller: Caller, at: str) -> None:
        """Let the caller read all media inside ``value``, which are the caller's own, as of an instant."""
        ops = grants(value, account=caller.account, environment=caller.environment, at=at)
        for start in range(0, len(ops), PAGE):
            await self.store.commit(ops[start : start + PAGE], atomic=False)

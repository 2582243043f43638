"""Who pays for whom: an account may say that it pays for casts of another one, up to a bound for each."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Duplicate, Invalid, NotFound, StaleVersion
from cauldron.domain.hashing import content_hash
from cauldron.domain.identity import Forbidden
from cauldron.domain.ledger import check_account, check_amount, points
from cauldron.domain.times import iso
from cauldron.persistence.tables import SPONSORSHIPS
from cauldron.ports.storage import Delete, Doc, Insert, Put, Store
from cauldron.ports.system import Clock, NewId

MOST = 1000  # accounts that one account pays for
TRIES = 20


class NotSponsored(Forbidden):
    """The account that should pay has not said that it pays for this one, or not as much."""

    code = "not_sponsored"


@dataclass(frozen=True, slots=True)
class Sponsoring:
    """Keeps what accounts said. ``owner`` of a record is who pays."""

    store: Store
    clock: Clock
    environment: str
    new_id: NewId

    def _id(self, payer: str, initiator: str) -> str:
        return content_hash([payer, initiator, self.environment])[:32]

    async def allow(
        self, payer: str, initiator: str, *, most_milli: int, actor: str, total_milli: int | None = None
    ) -> Doc:
        """From now on ``payer`` pays for casts of ``initiator``, at most ``most_milli`` each.

        And at most ``total_milli`` in all, since it said so first; None is without that bound.

        Raises:
            Invalid: an account or amount is malformed, it is the payer itself, or there are too many.
        """
        check_account(initiator)
        check_amount(most_milli, path="mostPts", least=0)
        if total_milli is not None:
            check_amount(total_milli, path="totalPts", least=0)
        if initiator == payer:
            raise Invalid("every account pays for itself", path="accountId")
        where = {"owner": payer}
        if len(await self.store.find(SPONSORSHIPS, where, order=("owner",), limit=MOST)) >= MOST:
            raise Invalid(f"an account pays for at most {MOST} others", path="accountId")
        for _ in range(TRIES):
            [known] = await self.store.get(SPONSORSHIPS, [self._id(payer, initiator)])
            doc = self._document(payer, initiator, since=sponsorship_of(known) if known else self.new_id())
            doc |= {"mostMilli": most_milli, "totalMilli": total_milli, "actor": actor}
            with contextlib.suppress(Duplicate, StaleVersion):
                op = Put(SPONSORSHIPS, doc, known["_v"]) if known else Insert(SPONSORSHIPS, doc)
                await self.store.commit([op])
                return doc
        raise StaleVersion("the sponsorship is being changed by others; try again")

    def _document(self, payer: str, initiator: str, *, since: str) -> Doc:
        return {
            "_id": self._id(payer, initiator),
            "schemaVersion": 1,
            "sponsorship": since,  # what is spent is counted by
            "owner": payer,
            "initiator": initiator,
            "environment": self.environment,
            "updatedAt": iso(self.clock()),
        }

    async def end(self, payer: str, initiator: str) -> None:
        """Pay no more; what was begun is still paid for. Raises NotFound: nothing was said."""
        [doc] = await self.store.get(SPONSORSHIPS, [self._id(payer, initiator)])
        if doc is None:
            raise NotFound(f"nothing is paid for {initiator!r:.80}")
        await self.store.commit([Delete(SPONSORSHIPS, doc["_id"])])

    async def of(self, payer: str) -> list[Doc]:
        """For whom an account pays, by id."""
        found = await self.store.find(SPONSORSHIPS, {"owner": payer}, order=("owner",), limit=MOST)
        return [doc for doc in found if doc["environment"] == self.environment]

    async def check(self, payer: str, initiator: str, *, cap_milli: int) -> Doc:
        """What ``payer`` said, if it pays for a cast that may cost ``cap_milli``. Raises NotSponsored."""
        [doc] = await self.store.get(SPONSORSHIPS, [self._id(payer, initiator)])
        if doc is None:
            raise NotSponsored(f"the account {payer!r:.80} does not pay for yours")
        if cap_milli > doc["mostMilli"]:
            most = points(doc["mostMilli"])
            raise NotSponsored(f"the account {payer!r:.80} pays at most {most:g} points a cast", mostPts=most)
        return doc | {"sponsorship": sponsorship_of(doc), "totalMilli": doc.get("totalMilli")}


def sponsorship_of(doc: Mapping[str, Any]) -> str:
    """What the holds of a sponsorship name; said anew after its end it is another one."""
    return str(doc.get("sponsorship") or doc["_id"])


def sponsorship_view(doc: Mapping[str, Any], used: Mapping[str, int]) -> dict[str, Any]:
    """What is shown of it; points, not thousandths. ``used`` is :meth:`Ledger.sponsored` of who pays."""
    view: dict[str, Any] = {"accountId": doc["initiator"], "mostPts": points(doc["mostMilli"])}
    total = doc.get("totalMilli")
    view |= {"totalPts": None if total is None else points(total)}
    view |= {"usedPts": points(used.get(sponsorship_of(doc), 0))}
    return view | {"actor": doc["actor"], "updatedAt": doc["updatedAt"]}

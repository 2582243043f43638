"""Who pays for whom: an account may say that it pays for casts of another one, up to a bound for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.hashing import content_hash
from cauldron.domain.identity import Forbidden
from cauldron.domain.ledger import check_account, check_amount, points
from cauldron.domain.times import iso
from cauldron.persistence.tables import SPONSORSHIPS
from cauldron.ports.storage import Delete, Doc, Put, Store
from cauldron.ports.system import Clock

MOST = 1000  # accounts that one account pays for


class NotSponsored(Forbidden):
    """The account that should pay has not said that it pays for this one, or not as much."""

    code = "not_sponsored"


@dataclass(frozen=True, slots=True)
class Sponsoring:
    """Keeps what accounts said. ``owner`` of a record is who pays."""

    store: Store
    clock: Clock
    environment: str

    def _id(self, payer: str, initiator: str) -> str:
        return content_hash([payer, initiator, self.environment])[:32]

    async def allow(self, payer: str, initiator: str, *, most_milli: int, actor: str) -> Doc:
        """From now on ``payer`` pays for casts of ``initiator``, at most ``most_milli`` each.

        Raises:
            Invalid: an account or amount is malformed, it is the payer itself, or there are too many.
        """
        check_account(initiator)
        check_amount(most_milli, path="mostPts", least=0)
        if initiator == payer:
            raise Invalid("every account pays for itself", path="accountId")
        where = {"owner": payer}
        if len(await self.store.find(SPONSORSHIPS, where, order=("owner",), limit=MOST)) >= MOST:
            raise Invalid(f"an account pays for at most {MOST} others", path="accountId")
        doc: Doc = {
            "_id": self._id(payer, initiator),
            "schemaVersion": 1,
            "owner": payer,
            "initiator": initiator,
            "mostMilli": most_milli,
            "actor": actor,
            "environment": self.environment,
            "updatedAt": iso(self.clock()),
        }
        await self.store.commit([Put(SPONSORSHIPS, doc, None)])
        return doc

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

    async def check(self, payer: str, initiator: str, *, cap_milli: int) -> None:
        """Whether ``payer`` pays for a cast that may cost ``cap_milli``. Raises NotSponsored."""
        [doc] = await self.store.get(SPONSORSHIPS, [self._id(payer, initiator)])
        if doc is None:
            raise NotSponsored(f"the account {payer!r:.80} does not pay for yours")
        if cap_milli > doc["mostMilli"]:
            most = points(doc["mostMilli"])
            raise NotSponsored(f"the account {payer!r:.80} pays at most {most:g} points a cast", mostPts=most)


def sponsorship_view(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of it; points, not thousandths."""
    view = {"accountId": doc["initiator"], "mostPts": points(doc["mostMilli"])}
    return view | {"actor": doc["actor"], "updatedAt": doc["updatedAt"]}

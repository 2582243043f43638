"""Points for cooks: a hold at a time, the next one before the last is used up.

A hold that came to nothing, because its cook was started, stopped or supplied by somebody
else meanwhile, is closed at once; one whose process died in between by the sweeper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from cauldron.domain.budget import raised, spending_of
from cauldron.domain.commands import ReplaceHold
from cauldron.domain.cook_charge import PIECES_A_HOLD, hold_wanted, is_short, points_left
from cauldron.domain.cook_state import Cook, State
from cauldron.domain.errors import Refused
from cauldron.domain.ledger import InsufficientPoints
from cauldron.domain.ledger_pricing import terms_of
from cauldron.ports.storage import Doc
from cauldron.services.dispatch import Dispatcher
from cauldron.services.ledger import Ledger

log = structlog.get_logger("cauldron.funding")
UNUSED_MS = 600_000  # after which a hold that no cook took is closed


class BudgetNeeded(Refused):
    """What a cook may cost is not known: say how many points it may take."""

    code = "budget_needed"


@dataclass(slots=True)
class CookFunding:
    """Opens holds for cooks."""

    ledger: Ledger
    cooks: Dispatcher[Cook]
    pieces_a_hold: int = PIECES_A_HOLD

    async def first(
        self, cook_id: str, *, account: str, budget: Mapping[str, Any], amount: int, environment: str
    ) -> dict[str, Any]:
        """The charge that a cook begins with.

        Raises:
            BudgetNeeded: the budget has no cap in points. InsufficientPoints, AccountLocked.
        """
        if budget.get("pointsMilli") is None:
            raise BudgetNeeded("say how many points the cook may take: nothing is known of its price")
        price = spending_of(budget).price.get("pointsMilli")
        cap = int(budget["pointsMilli"])
        if price is not None:
            cap = min(cap, price * min(amount, self.pieces_a_hold))
        return await self._open(cook_id, account=account, cap_milli=cap, environment=environment)

    async def _open(
        self,
        cook_id: str,
        *,
        account: str,
        cap_milli: int,
        environment: str,
        terms: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        opened = await self.ledger.open(
            f"cook:{cook_id}:{self.ledger.new_id()}",
            account=account,
            cap_milli=cap_milli,
            terms=terms_of(terms) if terms is not None else await self.ledger.terms(),
            actor=account,
            run_id=cook_id,
            expires_at=self.ledger.clock() + UNUSED_MS,
            environment=environment,
            about={"cook": cook_id},
        )
        return opened.charge.document()

    async def again(self, cook_id: str, *, budget: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """A charge to go on with after an end, or when the points ran out; None where none is needed.

        Raises:
            InsufficientPoints, AccountLocked. Refused: the new budget caps less than is spent.
        """
        cook = await self._cook(cook_id)
        rests = cook.state is State.PAUSED and cook.pause_reason != "points_exhausted"
        if not cook.charge or rests or cook.state is State.COOKING:
            return None
        spending = raised(cook.spending, budget) if budget is not None else cook.spending
        pieces = min(max(cook.outstanding, cook.missing_slots(), 1), self.pieces_a_hold)
        wanted = hold_wanted(spending, pieces=pieces)
        if points_left(spending) is None:
            raise BudgetNeeded("say how many points the cook may take from here on")
        if wanted <= 0:
            return None  # the decider says why it cannot go on
        return await self._open_most(cook, wanted, least=1)

    async def more(self, cook: Cook, *, in_flight: int, least_milli: int = 0) -> ReplaceHold | None:
        """What puts another hold in the place of one that runs short; None when nothing does."""
        a_hold = self.pieces_a_hold
        if not is_short(cook, in_flight=in_flight, least_milli=least_milli, pieces_a_hold=a_hold):
            return None
        left, number, cook_id = cook.left_milli, cook.holds + 1, str(cook.started["cookId"])
        pieces = min(cook.outstanding, in_flight + a_hold)
        wanted = hold_wanted(cook.spending, pieces=pieces, least_milli=least_milli)
        try:
            charge = await self._open_most(cook, wanted, least=left + 1)
        except InsufficientPoints as short:
            log.info("no points for another hold", cook_id=cook_id, code=short.code)
            return None
        return ReplaceHold(key=f"hold:{cook_id}:{charge['hold']}", number=number, charge=charge)

    async def _open_most(self, cook: Cook, wanted: int, *, least: int) -> dict[str, Any]:
        """A hold of what is wanted, or of as much as the account has."""
        account, now = str(cook.charge["account"]), self.ledger.clock()
        terms, environment = cook.charge["terms"], str(cook.started.get("environment", "live"))
        cook_id = str(cook.started.get("cookId", ""))
        state = (await self.ledger.accounts.load(f"account:{account}")).state
        cap = min(wanted, state.spendable_milli(now))
        cap = cap if cap >= least else wanted  # which is refused, with what is missing
        return await self._open(cook_id, account=account, cap_milli=cap, environment=environment, terms=terms)

    async def drop(self, cook_id: str, charge: Mapping[str, Any]) -> None:
        """Give a hold back unless the cook is charged to it."""
        cook = await self._cook(cook_id)
        if cook.charge.get("hold") != charge["hold"]:
            await self.ledger.close(charge["hold"], reason="cancelled")

    async def _cook(self, cook_id: str) -> Cook:
        return (await self.cooks.load(f"cook:{cook_id}")).state

    async def is_used(self, hold: Doc) -> bool:
        """Whether an open hold is one that a run is charged to, or was and is not posted to its end."""
        if "cook" not in hold["about"]:
            return await self.ledger.is_begun(hold["runId"])
        if (await self._cook(hold["runId"])).charge.get("hold") == hold["_id"]:
            return True
        async for page in self.cooks.streams.read(f"cook:{hold['runId']}", whole=False):
            for commit in page:
                if any(_charges(event) == hold["_id"] for event in commit["events"]):
                    return True
        return False


def _charges(event: Mapping[str, Any]) -> str:
    """The hold that an event begins to charge to."""
    return str((event["data"].get("charge") or {}).get("hold", ""))

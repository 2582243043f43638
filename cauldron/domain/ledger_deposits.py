"""Money that comes in and goes back: deposits, and what refunds and chargebacks take back.

What cannot be taken back because it is spent is borne by the platform and owed by the
account: no balance goes below zero.
"""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.events import Event
from cauldron.domain.ledger import PLATFORM, available, check_amount, legs_of
from cauldron.domain.ledger_balance import Account, Charge, Grant, Part
from cauldron.domain.ledger_commands import DepositPoints, ReverseDeposit


def name_of(provider: str, charge_id: str) -> str:
    """What a charge is called within an account."""
    return f"{provider}:{charge_id}"


def deposit(account: Account, c: DepositPoints) -> list[Event]:
    """Points for money; what the account owes is paid first. Raises Invalid."""
    check_amount(c.amount_milli)
    repaid = account.repays(c.amount_milli)
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "provider": c.provider,
        "chargeId": c.charge_id,
        "amountMilli": c.amount_milli,
        "moneyMicroUsd": c.money_micro_usd,
        "rateId": c.rate_id,
        **repaid_of(repaid),
        "legs": legs_of(
            {"mint:paid": -c.amount_milli, available(c.account): c.amount_milli - repaid, PLATFORM: repaid}
        ),
    }
    return [Event("PointsDeposited", body)]


def repaid_of(milli: int) -> dict[str, int]:
    """What an event says of points that went to what was owed."""
    return {"repaidMilli": milli} if milli else {}


def reverse(account: Account, c: ReverseDeposit) -> list[Event]:
    """Bring what was taken back of a charge to what its provider says now; nothing when that is known.

    Raises:
        NotFound: the charge was never deposited. Invalid: more would go back than came in.
    """
    charge = account.charges.get(name_of(c.provider, c.charge_id))
    if charge is None:
        raise NotFound(f"there is no deposit for {c.provider} {c.charge_id!r:.80}")
    if c.number <= charge.number:
        return []  # older than what is known
    if not 0 <= c.reversed_micro_usd <= charge.money_micro_usd:
        raise Invalid("more would be taken back than came in", path="reversed")
    wanted = _share(charge, c.reversed_micro_usd)
    more = wanted - charge.reversed_milli
    if not more and c.number == charge.number + 1:
        return []
    body: dict[str, Any] = {"group": c.key, "asked": c.asked, "account": c.account}
    body |= {"provider": c.provider, "chargeId": c.charge_id, "number": c.number}
    body |= {"reversedMilli": wanted, "amountMilli": abs(more), "reason": c.reason}
    return [_taken(account, charge, body, more=more, now=c.now) if more >= 0 else _restored(account, body)]


def _share(charge: Charge, reversed_micro_usd: int) -> int:
    """The points of a part of the money, rounded up."""
    whole = charge.money_micro_usd
    return -(-charge.amount_milli * reversed_micro_usd // whole) if whole else 0


def _taken(account: Account, charge: Charge, body: dict[str, Any], *, more: int, now: int) -> Event:
    parts = still_there(account, wanted=more, now=now, first=charge.group)
    taken = sum(milli for _, milli in parts)
    owed = more - taken
    legs = legs_of({available(body["account"]): -taken, PLATFORM: -owed, "mint:paid": more})
    more_body = {"owedMilli": owed, "parts": [list(part) for part in parts], "legs": legs}
    return Event("DepositReversed", body | more_body)


def still_there(account: Account, *, wanted: int, now: int, first: str = "") -> list[Part]:
    """Of points that are no promotion, at most so many; those of the grant ``first`` before others."""
    grants = [g for g in account.grants.values() if g.lasts(now) and g.left_milli and g.kind != "promo"]
    parts: list[Part] = []
    for grant in sorted(grants, key=lambda g: (g.grant_id != first, _rank(g))):
        milli = min(grant.left_milli, wanted)
        if milli:
            parts.append((grant.grant_id, milli))
            wanted -= milli
    return parts


def _rank(grant: Grant) -> tuple[int, float, bool, int]:
    return grant.rank


def _restored(account: Account, body: dict[str, Any]) -> Event:
    amount = body["amountMilli"]
    repaid = account.repays(amount)
    legs = legs_of({"mint:paid": -amount, available(body["account"]): amount - repaid, PLATFORM: repaid})
    return Event("DepositRestored", body | repaid_of(repaid) | {"legs": legs})


def deposited(account: Account, data: Mapping[str, Any]) -> None:
    """Fold PointsDeposited."""
    account.add(data["group"], data)
    charge = Charge(
        group=data["group"], amount_milli=data["amountMilli"], money_micro_usd=data["moneyMicroUsd"]
    )
    account.charges[name_of(data["provider"], data["chargeId"])] = charge


def _note(account: Account, data: Mapping[str, Any]) -> None:
    charge = account.charges[name_of(data["provider"], data["chargeId"])]
    charge.number, charge.reversed_milli = data["number"], data["reversedMilli"]


def reversed_(account: Account, data: Mapping[str, Any]) -> None:
    """Fold DepositReversed."""
    _note(account, data)
    for grant, milli in data["parts"]:
        account.grants[grant].left_milli -= milli
    account.debt_milli += data["owedMilli"]
    account.forget_spent()


def restored(account: Account, data: Mapping[str, Any]) -> None:
    """Fold DepositRestored."""
    _note(account, data)
    account.add(data["group"], data)

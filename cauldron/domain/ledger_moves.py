"""Points that go from one account to another for good, with what is owed: a guest's to whom they became.

They leave one stream and arrive in the other, each under an id that follows from which
move it is; in between they are in ``transit``. What comes to an account afterwards
(what a hold gives back, a refund) follows in a further move.
"""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.events import Event
from cauldron.domain.ledger import PLATFORM, TRANSIT, available, legs_of
from cauldron.domain.ledger_balance import Account, Grant
from cauldron.domain.ledger_commands import MovePoints, ReceivePoints
from cauldron.domain.ledger_deposits import still_there


def move(account: Account, c: MovePoints) -> list[Event]:
    """Everything that is there leaves; the first time is told though there be nothing, and binds.

    Raises:
        Refused: another account has taken this one over. Invalid: it is the same account.
    """
    if c.to == c.account:
        raise Invalid("an account does not take itself over", path="account")
    if account.moved_to not in ("", c.to):
        raise Refused("another account has taken this one over")
    if c.number != account.moves + 1:
        return []
    grants = [g for g in account.grants.values() if g.lasts(c.now) and g.left_milli]
    amount = sum(grant.left_milli for grant in grants)
    if account.moves and not amount and not account.debt_milli:
        return []
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "to": c.to,
        "number": c.number,
        "amountMilli": amount,
        "debtMilli": account.debt_milli,
        "parts": [[g.grant_id, g.left_milli] for g in grants],
        "grants": [[g.kind, g.priority, g.expires_at, g.left_milli] for g in grants],
        "legs": legs_of({available(c.account): -amount, TRANSIT: amount}),
    }
    return [Event("PointsMoved", body)]


def receive(account: Account, c: ReceivePoints) -> list[Event]:
    """What left another account arrives; a debt that comes along is paid with it, then with what is there."""
    owed, repaid, kept = account.debt_milli + c.debt_milli, 0, []
    for kind, priority, expires_at, milli in c.grants:
        taken = 0 if kind == "promo" else min(milli, owed - repaid)
        repaid += taken
        kept.append([kind, priority, expires_at, milli - taken])
    drawn = still_there(account, wanted=min(c.debt_milli, owed - repaid), now=c.now)
    amount, paid = sum(milli for *_, milli in c.grants), sum(milli for _, milli in drawn)
    moved = {TRANSIT: -amount, available(c.account): amount - repaid - paid, PLATFORM: repaid + paid}
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "source": c.source,
        "amountMilli": amount,
        "debtMilli": c.debt_milli,
        "repaidMilli": repaid + paid,
        "parts": [list(part) for part in drawn],
        "grants": kept,
        "legs": legs_of(moved),
    }
    return [Event("PointsReceived", body)]


def moved(account: Account, data: Mapping[str, Any]) -> None:
    """Fold PointsMoved."""
    account.moved_to, account.moves = data["to"], data["number"]
    account.debt_milli -= data["debtMilli"]
    for grant, milli in data["parts"]:
        account.grants[grant].left_milli -= milli
    account.forget_spent()


def received(account: Account, data: Mapping[str, Any]) -> None:
    """Fold PointsReceived."""
    account.debt_milli += data["debtMilli"] - data["repaidMilli"]
    for grant, milli in data["parts"]:
        account.grants[grant].left_milli -= milli
    for place, (kind, priority, expires_at, milli) in enumerate(data["grants"]):
        account.granted += 1
        grant_id = f"{data['group']}:{place}"
        account.grants[grant_id] = Grant(
            grant_id=grant_id,
            kind=kind,
            priority=priority,
            expires_at=expires_at,
            left_milli=milli,
            place=account.granted,
        )
    account.forget_spent()

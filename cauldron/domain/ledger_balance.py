"""The state of a user's account: grants, open holds, what money bought, and what is owed.

An account owes when money was taken back after its points had been spent: nothing is
held for it until that is paid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Part = tuple[str, int]  # (grant id, milli-points of it)


@dataclass(slots=True)
class Grant:
    """Points of one origin, and how many are left."""

    grant_id: str
    kind: str
    priority: int
    expires_at: int | None
    left_milli: int
    place: int  # in the order of arrival

    def lasts(self, now: int) -> bool:
        """Whether it may still be spent."""
        return self.expires_at is None or now < self.expires_at

    @property
    def rank(self) -> tuple[int, float, bool, int]:
        """What is spent first: by priority, then what expires soonest, promotions, the oldest."""
        ends = float("inf") if self.expires_at is None else self.expires_at
        return self.priority, ends, self.kind != "promo", self.place


@dataclass(slots=True)
class Charge:
    """Money that came in: what it bought, and what of it was taken back."""

    group: str  # of the deposit: its grant
    amount_milli: int
    money_micro_usd: int
    reversed_milli: int = 0
    number: int = 0  # of the latest change of what was taken back


@dataclass(slots=True)
class Account:
    """The folded state of one account."""

    grants: dict[str, Grant] = field(default_factory=dict)
    holds: dict[str, list[Part]] = field(default_factory=dict)  # open ones: hold -> parts
    charges: dict[str, Charge] = field(default_factory=dict)  # "<provider>:<charge>"
    granted: int = 0  # how many, ever
    debt_milli: int = 0  # spent points whose money was taken back
    moved_to: str = ""  # the account that took this one over
    moves: int = 0  # how often points went there
    sponsored: dict[str, int] = field(default_factory=dict)  # sponsorship -> milli, set aside or spent
    sponsored_holds: dict[str, str] = field(default_factory=dict)  # open ones -> sponsorship

    @property
    def available_milli(self) -> int:
        """The balance of the available account."""
        return sum(grant.left_milli for grant in self.grants.values())

    def spendable_milli(self, now: int) -> int:
        """What may be held now: without what has expired and was not taken yet."""
        return sum(g.left_milli for g in self.grants.values() if g.lasts(now))

    def capped_milli(self) -> int:
        """The caps of all open holds together."""
        return sum(milli for parts in self.holds.values() for _, milli in parts)

    def repays(self, milli: int, *, kind: str = "paid") -> int:
        """What of points that come in goes to what is owed; promotions never do."""
        return 0 if kind == "promo" else min(milli, self.debt_milli)

    def add(self, grant_id: str, data: Mapping[str, Any]) -> None:
        """Fold points that came in."""
        repaid = data.get("repaidMilli", 0)
        self.granted += 1
        self.debt_milli -= repaid
        self.grants[grant_id] = Grant(
            grant_id=grant_id,
            kind=data.get("kind", "paid"),
            priority=data.get("priority", 50),
            expires_at=data.get("expiresAt"),
            left_milli=data["amountMilli"] - repaid,
            place=self.granted,
        )

    def forget_spent(self) -> None:
        """Drop grants of which nothing is left and nothing can come back."""
        needed = {grant for parts in self.holds.values() for grant, _ in parts}
        for name in [n for n, g in self.grants.items() if not g.left_milli and n not in needed]:
            del self.grants[name]

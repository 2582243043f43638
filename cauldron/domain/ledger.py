"""The books: accounts, and posting groups whose legs sum to zero, in whole milli-points.

A posting group has an id that follows from what it is about (``hold:<id>``,
``dep:<provider>:<charge>``, ``cap:<hold>:<seq>`` …), so that the same thing posted twice
is the same group. Money is micro-USD. There are no floats here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.hashing import content_hash

PROVIDER = "provider:cost"  # what tools cost
PLATFORM = "platform:net"  # what is left to the platform; may go below zero
TRANSIT = "transit"  # between two accounts; empty when every move has arrived
EXPIRED = "expired"
PAYOUT = "payout"
FLOORED = (TRANSIT, EXPIRED, PAYOUT, PROVIDER)  # beside those of users and creators
KINDS = ("paid", "promo", "adjust")  # of grants
MAX_MILLI = 10**15  # of one amount: a trillion points
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,120}")
REFERENCE = re.compile(r"[A-Za-z0-9_.@:/-]{1,200}")
Legs = list[list[Any]]  # [account, milli-points] pairs, by account


class InsufficientPoints(Refused):
    """The account has not as many points as are asked for; ``missingPts`` says how many are missing."""

    code = "insufficient_points"


class LedgerConflict(Refused):
    """A posting group with this id is in the books already, and says something else."""

    code = "ledger_conflict"


def available(account: str) -> str:
    """The ledger account of what a user may spend."""
    return f"user:{account}:available"


def held(account: str) -> str:
    """The ledger account of what is set aside for a user's runs."""
    return f"user:{account}:held"


def accrued(creator: str) -> str:
    """The ledger account of a creator's shares in runs that go on."""
    return f"creator:{creator}:accrued"


def payable(creator: str) -> str:
    """The ledger account of a creator's shares that may be withdrawn."""
    return f"creator:{creator}"


def is_floored(ledger_account: str) -> bool:
    """Whether an account must never be below zero."""
    return ledger_account.startswith(("user:", "creator:")) or ledger_account in FLOORED


def check_account(account: str) -> str:
    """An account id that may stand in the name of a ledger account. Raises Invalid."""
    if not NAME.fullmatch(account):
        raise Invalid(f"{account!r:.80} is no account id", path="account")
    return account


def check_reference(text: str, *, path: str) -> str:
    """An id given from outside that may stand in a group's id. Raises Invalid."""
    if not REFERENCE.fullmatch(text):
        raise Invalid(f"{path}: letters, digits and _.@:/- only, at most 200 of them", path=path)
    return text


def check_amount(milli: int, *, path: str = "points", least: int = 1) -> int:
    """A whole number of milli-points from ``least`` to :data:`MAX_MILLI`. Raises Invalid."""
    if isinstance(milli, bool) or not isinstance(milli, int) or not least <= milli <= MAX_MILLI:
        raise Invalid(
            f"{path} must be between {least / 1000:g} and {MAX_MILLI // 1000} points, in thousandths",
            path=path,
        )
    return milli


def legs_of(amounts: Mapping[str, int]) -> Legs:
    """The legs of one group, without those of zero.

    Raises:
        ValueError: they do not sum to zero. It is a fault of the caller, never of a user.
    """
    if sum(amounts.values()) != 0:
        raise ValueError(f"a posting group must sum to 0, not {sum(amounts.values())}")
    return [[account, milli] for account, milli in sorted(amounts.items()) if milli]


def totals(groups: Iterable[Legs]) -> dict[str, int]:
    """Milli-points by account over groups."""
    found: dict[str, int] = {}
    for legs in groups:
        for account, milli in legs:
            found[account] = found.get(account, 0) + milli
    return found


def fingerprint(kind: str, parts: Sequence[Any]) -> str:
    """16 hex digits that tell whether the same group id is asked for with the same content."""
    return content_hash([kind, *parts])[:16]


def points(milli: int) -> float:
    """Milli-points as points with up to three decimals, as JSON and records show them."""
    return milli / 1000


def milli_of(number: float | str) -> int:
    """Points with up to three decimals as whole milli-points. Raises Invalid."""
    text = str(number).strip()
    match = re.fullmatch(r"(-?)(\d{1,13})(?:\.(\d{1,3}))?", text)
    if match is None:
        raise Invalid(f"points must be a number with at most three decimals, not {text!r:.40}", path="points")
    sign, whole, part = match.groups()
    milli = int(whole) * 1000 + int((part or "").ljust(3, "0"))
    return -milli if sign else milli

"""Prices: what a step costs in points, who gets what of it, and what a run may be charged at most."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from cauldron.domain.errors import Invalid

PER_POINT = 1000  # milli-points
WHOLE_BPS = 10_000
MAX_MARKUP_BPS = 100 * WHOLE_BPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a point is worth, in micro-USD, from an instant on. Rates are appended, never changed."""

    rate_id: str
    micro_usd_per_point: int
    from_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a run is priced, pinned when it is quoted.

    A step's price is its cost at the pinned rate, plus ``markup_bps`` of that; the
    last step of a run bears ``flat_milli`` besides. Of what remains after the cost
    the creator gets ``creator_bps`` (parts of 10,000), rounded down.
    """

    rate_id: str
    micro_usd_per_point: int
    markup_bps: int = 0
    flat_milli: int = 0
    creator: str = ""
    creator_bps: int = 0

    def document(self) -> dict[str, Any]:
        """As events and invoices keep it."""
        names = {"rate_id": "rateId", "micro_usd_per_point": "microUsdPerPoint"}
        names |= {"markup_bps": "markupBps", "flat_milli": "flatMilli", "creator_bps": "creatorBps"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


def terms_of(document: Mapping[str, Any]) -> Terms:
    """Terms as they were kept."""
    return Terms(
        rate_id=document["rateId"],
        micro_usd_per_point=document["microUsdPerPoint"],
        markup_bps=document.get("markupBps", 0),
        flat_milli=document.get("flatMilli", 0),
        creator=document.get("creator", ""),
        creator_bps=document.get("creatorBps", 0),
    )


def check_terms(terms: Terms) -> Terms:
    """Terms that make sense. Raises Invalid."""
    bounds = {
        "micro_usd_per_point": (1, 10**9),
        "markup_bps": (0, MAX_MARKUP_BPS),
        "flat_milli": (0, 10**12),
        "creator_bps": (0, WHOLE_BPS),
    }
    for name, (low, high) in bounds.items():
        if not low <= getattr(terms, name) <= high:
            raise Invalid(f"{name} must be between {low} and {high}", path=name)
    return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a run may be charged: the hold that pays for it, its cap and its terms."""

    hold_id: str
    account: str  # who pays
    cap_milli: int
    terms: Terms

    def document(self) -> dict[str, Any]:
        """As the run's first event keeps it."""
        body = {"hold": self.hold_id, "account": self.account, "capMilli": self.cap_milli}
        return body | {"terms": self.terms.document()}


def charge_of(document: Mapping[str, Any]) -> Charge:
    """A charge as it was kept."""
    return Charge(
        hold_id=document["hold"],
        account=document["account"],
        cap_milli=document["capMilli"],
        terms=terms_of(document["terms"]),
    )


class Line(NamedTuple):
    """One step that is to be paid for: which, and its price and cost in milli-points."""

    step: str
    piece: int  # 0: no piece, a step of a cast
    attempt: int
    price_milli: int
    cost_milli: int

    @property
    def key(self) -> str:
        """What the line is of; a step of a piece is paid for once, whatever the attempt."""
        return f"{self.piece}/{self.step}"


class Charged(NamedTuple):
    """What was taken for one step, and where it went: taken = provider + creator + net."""

    step: str
    piece: int
    attempt: int
    taken_milli: int
    provider_milli: int
    creator_milli: int
    overrun_milli: int  # what the price was beyond the cap: nobody pays it


def cost_milli(cost_micro_usd: int, terms: Terms) -> int:
    """A cost in milli-points at the pinned rate, rounded up."""
    return -(-cost_micro_usd * PER_POINT // terms.micro_usd_per_point)


def price_milli(cost: int, terms: Terms) -> int:
    """The price of what costs ``cost`` milli-points, rounded up."""
    return cost + -(-cost * terms.markup_bps // WHOLE_BPS)


def lines_of(steps: Sequence[Mapping[str, Any]], terms: Terms, *, piece: int, attempt: int) -> list[Line]:
    """What a successful run is to be paid for: the last success of each step, also of an earlier attempt."""
    lines = []
    for step in (steps[place] for place in _paid_places(steps)):
        cost = cost_milli(step["costMicroUsd"], terms)
        lines.append(Line(step["step"], piece, attempt, price_milli(cost, terms), cost))
    if lines and terms.flat_milli:
        lines[-1] = lines[-1]._replace(price_milli=lines[-1].price_milli + terms.flat_milli)
    return lines


def share(line: Line, terms: Terms, *, left_milli: int) -> Charged:
    """What is taken for a line while ``left_milli`` is left of the cap, and who gets it.

    The provider comes first, then the creator's share of the margin rounded down;
    the platform has the remainder, so that nothing is lost or made by rounding.
    """
    taken = min(line.price_milli, left_milli)
    provider = min(line.cost_milli, taken)
    creator = (taken - provider) * terms.creator_bps // WHOLE_BPS if terms.creator else 0
    overrun = line.price_milli - taken
    return Charged(line.step, line.piece, line.attempt, taken, provider, creator, overrun)


def share_all(lines: Iterable[Line], terms: Terms, *, left_milli: int) -> list[Charged]:
    """The same for lines one after the other."""
    found = []
    for line in lines:
        charged = share(line, terms, left_milli=left_milli)
        left_milli -= charged.taken_milli
        found.append(charged)
    return found


def price_of(steps: Sequence[Mapping[str, Any]], terms: Terms, *, piece: int, attempt: int) -> int:
    """What a successful run is to be paid, in milli-points, before any cap."""
    return sum(line.price_milli for line in lines_of(steps, terms, piece=piece, attempt=attempt))


def charged_steps(
    steps: Sequence[Any], charge: Charge, *, left_milli: int, piece: int, attempt: int
) -> list[Any]:
    """The steps of a successful run; those paid for say what was taken, at most ``left_milli`` in all."""
    lines = lines_of(steps, charge.terms, piece=piece, attempt=attempt)
    shares = share_all(lines, charge.terms, left_milli=left_milli)
    paid = {line.step: _told(line, each) for line, each in zip(lines, shares, strict=True)}
    places = set(_paid_places(steps))
    return [
        {**step, "charge": paid[step["step"]]} if place in places else step
        for place, step in enumerate(steps)
    ]


def _paid_places(steps: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where the last success of each step stands: what was tried before it is not paid for."""
    last = {step["step"]: place for place, step in enumerate(steps) if step["status"] == "success"}
    return sorted(last.values())


def _told(line: Line, charged: Charged) -> dict[str, int]:
    return {
        "priceMilli": line.price_milli,
        "costMilli": line.cost_milli,
        "takenMilli": charged.taken_milli,
        "providerMilli": charged.provider_milli,
        "creatorMilli": charged.creator_milli,
    }


def taken_of(steps: Iterable[Mapping[str, Any]]) -> int:
    """What was taken for steps in all, in milli-points."""
    return sum(step["charge"]["takenMilli"] for step in steps if "charge" in step)


def with_rate(terms: Terms, rate: Rate) -> Terms:
    """Terms with a rate pinned."""
    return replace(terms, rate_id=rate.rate_id, micro_usd_per_point=rate.micro_usd_per_point)

"""The rarity report: one HTML page with its plots inside, no script and no address outside the export."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jinja2

from cauldron.domain.export import ExportPiece, ExportSpec, media_names
from cauldron.domain.metadata import IMAGE_FOLDER, token_name
from cauldron.domain.provenance import seed_commitment
from cauldron.domain.rarity import Rarity, TraitValue
from cauldron.services.export_documents import Proved

RAREST = 12  # pieces shown
MOST_ROWS = 40  # values listed per trait
BINS = 32
NONE = ""  # the value of a piece without the trait

Traits = Sequence[Mapping[str, TraitValue]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a distribution: where it stands, how high, and what it says."""

    left: float  # 0–100
    width: float  # 0–100
    height: float  # 0–100
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Numbers as bars, with their lowest, middle and highest."""

    bars: tuple[Bar, ...]
    low: str
    middle: str
    high: str
    middle_at: float  # 0–100


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value of a trait."""

    name: str  # empty: the pieces without the trait
    count: int
    share: str  # "12.5 %"
    width: float  # of its bar, 0–100
    planned: str | None  # pieces; their share where the plan is of more pieces than these
    planned_at: float | None  # where the plan is marked on the bar's scale, 0–100
    off: bool = False  # it has not come to what was planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """One trait: its values, or its distribution when they are numbers."""

    label: str
    values: int
    rows: tuple[Row, ...] = ()
    hidden: int = 0  # values not listed
    numbers: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rare:
    """One of the rarest pieces."""

    token: int
    rank: int
    score: str
    name: str
    image: str | None  # relative address, None when it is no picture
    kind: str
    because: str  # its rarest trait
    one_of_one: bool


def render_report(
    spec: ExportSpec, pieces: Sequence[ExportPiece], *, traits: Traits, rarity: Rarity, proved: Proved
) -> bytes:
    """The page as UTF-8 HTML. Every text in it is escaped; equal pieces give equal bytes.

    Args:
        spec: the collection; its planned counts stand beside the real ones.
        pieces: in token order.
        traits: what each piece shows, in the same order.
        rarity: scores and ranks, in the same order.
        proved: provenance of the same pieces.
    """
    counts = _counts(traits)
    drawn = _within_fence(rarity.scores)
    commitment = seed_commitment(
        seed=spec.seed, plan_hash=spec.plan_hash, collection_hash=spec.collection_hash
    )
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            spec=spec,
            pieces=len(pieces),
            rarest=_rarest(spec, pieces, traits=traits, rarity=rarity, counts=counts),
            scores=_distribution(drawn, places=2),
            beyond=len(pieces) - len(drawn),
            highest=f"{max(rarity.scores):.2f}",
            traits=[_trait(label, counts[label], spec=spec, pieces=len(pieces)) for label in counts],
            alone=sum(1 for count in rarity.unique_attributes if count),
            one_of_ones=sum(1 for piece in pieces if piece.one_of_one),
            proved=proved,
            commitment=commitment,
        )
    )
    return page.encode()


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("cauldron.services", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["grouped"] = lambda number: f"{number:,}"
    environment.filters["place"] = lambda number: f"{number:.2f}".rstrip("0").rstrip(".")
    return environment


def _counts(traits: Traits) -> dict[str, Counter[TraitValue]]:
    """Pieces per value of every trait, with the pieces that lack it under the empty value."""
    counts: dict[str, Counter[TraitValue]] = {}
    order: list[str] = []
    for piece in traits:
        for label, value in piece.items():
            if label not in counts:
                counts[label] = Counter()
                _place(label, order=order, labels=list(piece))
            counts[label][value] += 1
    for found in counts.values():
        if lacking := len(traits) - found.total():
            found[NONE] = lacking
    return {label: counts[label] for label in order}


def _place(label: str, *, order: list[str], labels: Sequence[str]) -> None:
    """Put a new label into ``order`` right behind the one it follows on its piece."""
    before = labels.index(label) - 1
    order.insert(order.index(labels[before]) + 1 if before >= 0 else 0, label)


def _trait(label: str, found: Counter[TraitValue], *, spec: ExportSpec, pieces: int) -> Trait:
    numbers = [value for value in found if not isinstance(value, str)]
    if numbers and len(numbers) + (NONE in found) == len(found):
        spread = (number for number in numbers for _ in range(found[number]))
        return Trait(label=label, values=len(numbers), numbers=_distribution(list(spread), places=None))
    planned = {str(value): count for value, count in spec.planned.get(label, {}).items()}
    whole = spec.planned_pieces or spec.supply
    ordered = sorted(found, key=lambda value: (value == NONE, -found[value], str(value)))
    unmade = [value for value in planned if value not in {str(value) for value in found}]
    listed = ordered[:MOST_ROWS]
    scale = max([found[value] / pieces for value in listed] + _shares(planned, whole), default=1) or 1
    rows = [
        _row(str(value), found[value], pieces=pieces, scale=scale, planned=planned, whole=whole)
        for value in [*listed, *unmade[: MOST_ROWS - len(listed)]]
    ]
    values = len(found) - (NONE in found)
    return Trait(label=label, values=values, rows=tuple(rows), hidden=len(ordered) - len(listed))


def _shares(planned: Mapping[str, int], whole: int) -> list[float]:
    return [count / whole for count in planned.values()] if whole else []


def _row(name: str, count: int, *, pieces: int, scale: float, planned: Mapping[str, int], whole: int) -> Row:
    """One value; ``whole``: how many pieces ``planned`` is about."""
    wanted = planned.get(name)
    if name == NONE and planned and whole:
        wanted = max(0, whole - sum(planned.values()))
    return Row(
        name=name,
        count=count,
        share=_percent(count / pieces),
        width=100 * count / pieces / scale,
        planned=None if wanted is None else _planned(wanted, pieces=pieces, whole=whole),
        planned_at=None if wanted is None or not whole else min(100.0, 100 * wanted / whole / scale),
        off=wanted is not None and whole == pieces and wanted != count,
    )


def _planned(wanted: int, *, pieces: int, whole: int) -> str:
    return _percent(wanted / whole) if whole > pieces else f"{wanted:,}"


def _percent(share: float) -> str:
    if share == 0:
        return "0\u00a0%"
    return f"{100 * share:.1f}\u00a0%" if share >= 0.001 else f"{100 * share:.3f}\u00a0%"


def _distribution(values: Iterable[float], *, places: int | None) -> Distribution:
    """Bars over equal steps from the lowest value to the highest."""
    numbers = sorted(values)
    low, high = numbers[0], numbers[-1]
    steps = min(BINS, len(set(numbers)))
    step = (high - low) / steps or 1
    bins = Counter(min(steps - 1, int((number - low) / step)) for number in numbers)
    tallest = max(bins.values())
    bars = tuple(
        Bar(
            left=100 * place / steps,
            width=100 / steps,
            height=100 * bins[place] / tallest,
            title=_said(low + place * step, low + (place + 1) * step, count=bins[place], places=places),
        )
        for place in range(steps)
    )
    middle = statistics.median(numbers)
    at = 50.0 if high == low else 100 * (middle - low) / (high - low)
    shown = [_number(value, places) for value in (low, middle, high)]
    return Distribution(bars=bars, low=shown[0], middle=shown[1], high=shown[2], middle_at=at)


def _within_fence(scores: Sequence[float]) -> list[float]:
    """The scores without far outliers, which would flatten the rest (Tukey's outer fence)."""
    if len(scores) < 4:
        return list(scores)
    first, _, third = statistics.quantiles(scores, n=4, method="inclusive")
    fence = third + 3 * max(third - first, 0.01)
    return [score for score in scores if score <= fence]


def _number(value: float, places: int | None) -> str:
    return f"{value:,.{places}f}" if places is not None else f"{value:,.6g}"


def _said(low: float, high: float, *, count: int, places: int | None) -> str:
    return f"{_number(low, places)} to {_number(high, places)}: {count:,} pieces"


def _rarest(
    spec: ExportSpec,
    pieces: Sequence[ExportPiece],
    *,
    traits: Traits,
    rarity: Rarity,
    counts: Mapping[str, Counter[TraitValue]],
) -> list[Rare]:
    order = sorted(range(len(pieces)), key=lambda index: (rarity.ranks[index], index))
    found = []
    for index in order[:RAREST]:
        piece, kind = pieces[index], pieces[index].media[0]["mime"]
        image = f"{IMAGE_FOLDER}/{next(media_names(piece))}" if kind.startswith("image/") else None
        found.append(
            Rare(
                token=piece.token,
                rank=rarity.ranks[index],
                score=f"{rarity.scores[index]:.2f}",
                name=token_name(spec, piece),
                image=image,
                kind=kind,
                because=_because(traits[index], counts=counts, pieces=len(pieces)),
                one_of_one=piece.one_of_one is not None,
            )
        )
    return found


def _because(
    traits: Mapping[str, TraitValue], *, counts: Mapping[str, Counter[TraitValue]], pieces: int
) -> str:
    """The rarest thing about a piece, in words."""
    scored = [
        (counts[label][value], label, value) for label, value in traits.items() if isinstance(value, str)
    ]
    if not scored:
        return ""
    count, label, value = min(scored, key=lambda entry: entry[0])
    return f"{label}: {value} ({'only one' if count == 1 else _percent(count / pieces)})"

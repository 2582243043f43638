"""The trait tree: categories in layer order, their options, and the sets that make options by rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

TraitValue: TypeAlias = str | int | float
MAX_RANGE = 1_000_000  # numbers in one range


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a category: drawn by ``weight``, or given to exactly ``count`` pieces."""

    name: str
    weight: float = 1.0  # relative within the category; 0 is never; unused beside a count
    count: int | None = None  # pieces of the whole collection
    value: Any = None  # what goes into the generator; the name unless the document says otherwise
    bind: Mapping[str, Any] = field(default_factory=dict)  # generator input -> template or value
    tags: tuple[str, ...] = ()
    categories: "tuple[Category, ...]" = ()  # rolled only when this option is chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers ``low, low + step, …`` up to and including ``high``, all equally likely."""

    low: int | float
    high: int | float
    step: int | float = 1
    pad: int = 0  # digits before the point in the text form, filled with zeros
    unique: bool = False  # no number twice in the collection

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self.step))) + 1

    def value(self, index: int) -> int | float:
        """The number at 0-based ``index``, computed in decimal so that 0.1 steps stay exact."""
        number = Decimal(str(self.low)) + index * Decimal(str(self.step))
        return int(number) if isinstance(self.low, int) and isinstance(self.step, int) else float(number)

    def text(self, index: int) -> str:
        """The number at ``index`` as text: ``007`` with ``pad`` 3, all with the decimals of the step."""
        number = Decimal(str(self.low)) + index * Decimal(str(self.step))
        whole, point, decimals = f"{abs(number):f}".partition(".")
        return ("-" if number < 0 else "") + whole.zfill(self.pad) + point + decimals

    def index(self, value: TraitValue) -> int | None:
        """The index of a number or of its text form; None when it is not in the range."""
        if isinstance(value, str):
            try:
                number = Decimal(value)
            except ArithmeticError:
                return None
        else:
            number = Decimal(str(value))
        if not number.is_finite():
            return None
        steps = (number - Decimal(str(self.low))) / Decimal(str(self.step))
        index = int(steps)
        return index if steps == index and 0 <= index < self.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Files of one folder as options: drawn by weight, or handed out in order."""

    folder: str = ""  # relative to the document; empty once its files are listed in ``items``
    items: tuple[Option, ...] = ()
    draw: str = "weight"  # weight | order
    times: int | None = None  # order: each file exactly so often; None: round and round


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One trait. Exactly one of ``options``, ``range``, ``images`` and ``seed`` is set."""

    name: str  # unique in the document
    label: str  # the trait's name in the metadata
    options: tuple[Option, ...] = ()
    none: float = 0.0  # share of pieces without one, where the category applies
    none_count: int | None = None  # exactly so many pieces without one
    unique: bool = True  # counts when two pieces are compared
    metadata: bool = True  # appears among the attributes
    display_type: str | None = None  # number | boost_number | boost_percentage | date
    range: Range | None = None
    images: ImageSet | None = None
    seed: bool = False  # a 32-bit number per piece

    @property
    def choices(self) -> tuple[Option, ...]:
        """The options, or the files of an image set; empty for ranges and seeds."""
        return self.images.items if self.images else self.options

    @property
    def is_serial(self) -> bool:
        """Whether its values are unique across the collection."""
        return self.range is not None and self.range.unique

    @property
    def in_order(self) -> bool:
        """Whether its files are handed out in order."""
        return self.images is not None and self.images.draw == "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A category where it stands in the tree; ``parent`` and ``host`` are empty at the top."""

    category: Category
    path: str  # "categories[2].options[0].categories[1]"
    parent: str = ""  # name of the category it is nested in
    host: str = ""  # the option of that category it belongs to


def walk(
    categories: tuple[Category, ...], *, path: str = "categories", parent: str = "", host: str = ""
) -> Iterator[Placed]:
    """Every category in layer order; nested ones directly after the category they belong to."""
    for index, category in enumerate(categories):
        here = f"{path}[{index}]"
        yield Placed(category=category, path=here, parent=parent, host=host)
        for position, option in enumerate(category.options):
            inner = f"{here}.options[{position}].categories"
            yield from walk(option.categories, path=inner, parent=category.name, host=option.name)

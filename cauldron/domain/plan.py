"""A plan: the seeded, hashed table of trait selections, one row per slot of the supply."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.hashing import canonical_json, content_hash, seed_from
from cauldron.domain.space import SUB
from cauldron.domain.traits import Category, TraitValue

MAGIC = b"CAULDRON PLAN 1\n"
NO_OPTION = -1  # in rows of one-of-ones: nothing, or a value no option has

Table = npt.NDArray[np.int32]  # [slots, columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What one slot holds. Mappings are in layer order."""

    slot: int  # 0-based row of the plan
    traits: Mapping[str, TraitValue]  # label -> option name or number; only what the metadata shows
    hidden: Mapping[str, TraitValue]  # the same of categories with ``metadata: false``
    names: Mapping[str, str | None]  # category -> option name; None: has none
    values: Mapping[str, Any]  # category -> typed value for the generator; None: has none
    texts: Mapping[str, str]  # category -> the value inside text; empty: has none
    binds: Mapping[str, Any]  # generator inputs that options set, templates not yet filled
    sub_collection: str | None
    one_of_one: str | None
    overrides: Mapping[str, Any]  # generator inputs a one-of-one sets, templates not yet filled
    seed: int  # 32 bits, the piece's own


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The selections of a whole collection.

    ``rows[slot, column]`` is an option index of ``columns[column]``: the category's
    options, then none, then absent (see :mod:`cauldron.domain.space`); −1 in
    one-of-ones where no option is meant. The last column is ``$sub`` when there are
    sub-collections. ``retired`` are rows that re-rolls have given up for good.
    """

    collection: Collection
    seed: str
    supply: int
    columns: tuple[str, ...]
    rows: Table
    ones: Mapping[int, int] = field(default_factory=dict)  # slot -> index of the one-of-one
    rolls: Mapping[int, int] = field(default_factory=dict)  # slot -> how often it was re-rolled
    retired: Table = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int32))

    @property
    def collection_hash(self) -> str:
        """The collection's version hash."""
        return self.collection.version_hash

    @cached_property
    def plan_hash(self) -> str:
        """SHA-256 over collection version, seed, supply, every row and every re-roll; 64 hex digits."""
        return content_hash(
            {
                **self._identity(),
                "rows": sha256(self._packed()).hexdigest(),
                "retired": self.retired.tolist(),
            }
        )

    def _identity(self) -> dict[str, Any]:
        return {
            "collectionHash": self.collection_hash,
            "seed": self.seed,
            "supply": self.supply,
            "columns": list(self.columns),
            "ones": sorted(self.ones.items()),
            "rolls": sorted(self.rolls.items()),
        }

    def _packed(self) -> bytes:
        return np.ascontiguousarray(self.rows, dtype="<i4").tobytes()

    def to_bytes(self) -> bytes:
        """A self-contained, deterministic form: JSON header, then the columns in the narrowest integers."""
        columns = [_narrow(self.rows[:, index]) for index in range(len(self.columns))]
        header = canonical_json(
            {
                "document": self.collection.document(),
                "identity": self._identity(),
                "retired": self.retired.tolist(),
                "types": [column.dtype.str for column in columns],
                "planHash": self.plan_hash,
            }
        )
        body = b"".join(column.tobytes() for column in columns)
        return MAGIC + struct.pack("<Q", len(header)) + header + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan":
        """The plan that :meth:`to_bytes` wrote.

        Raises:
            Invalid: not such a file, damaged, or not what its hash says.
        """
        try:
            plan, wanted = _unpacked(data)
        except (ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
            raise Invalid(f"this is no plan: {error}") from error
        if plan.plan_hash != wanted:
            raise Invalid("the plan is damaged: its rows do not match its hash")
        return plan

    @cached_property
    def _texts(self) -> "list[_ColumnTexts | None]":
        by_name = self.collection.by_name
        return [_ColumnTexts(by_name[name]) if name != SUB else None for name in self.columns]

    def selection(self, slot: int) -> Selection:
        """What ``slot`` (0-based) holds. Raises NotFound."""
        if not 0 <= slot < self.supply:
            raise NotFound(f"the plan has no slot {slot}; it has {self.supply}", slot=slot)
        row = self.rows[slot].tolist()
        one = self.ones.get(slot)
        given = self.collection.one_of_ones[one].traits if one is not None else {}
        return _Selector(plan=self, slot=slot, given=given, one=one).selection(row)

    @cached_property
    def _shown(self) -> "list[tuple[str, int, _ColumnTexts]]":
        """Label, place in a row and texts of every category that the metadata shows, in layer order."""
        place = {name: index for index, name in enumerate(self.columns)}
        return [
            (category.label, place[name], texts)
            for name, category in self.collection.by_name.items()
            if category.metadata and not category.seed and (texts := self._texts[place[name]]) is not None
        ]

    def traits(self, slot: int) -> Mapping[str, TraitValue]:
        """``selection(slot).traits`` alone, at a fraction of its cost. Raises NotFound."""
        if slot in self.ones or not 0 <= slot < self.supply:
            return self.selection(slot).traits
        row = self.rows[slot].tolist()
        found = ((label, texts.trait(row[place])) for label, place, texts in self._shown)
        return {label: trait for label, trait in found if trait is not None}

    def slots_with(self, label: str, value: str) -> npt.NDArray[np.bool_]:
        """Which slots show ``value`` as trait ``label``: one truth per slot, no loop over them."""
        found = np.zeros(self.supply, dtype=np.bool_)
        for shown, place, texts in self._shown:
            if shown == label:
                column = self.rows[:, place]
                same = [o for o in np.unique(column).tolist() if str(texts.trait(o)) == value and o >= 0]
                found |= np.isin(column, same)
        for slot in self.ones:
            traits = self.selection(slot).traits
            found[slot] = label in traits and str(traits[label]) == value
        return found

    def shown_columns(
        self,
    ) -> Iterator[tuple[str, npt.NDArray[np.int32], Callable[[int], TraitValue | None]]]:
        """Per trait that the metadata shows: label, option of every slot, and what an option shows."""
        for label, place, texts in self._shown:
            yield label, self.rows[:, place], texts.trait

    def selections(self, slots: Sequence[int] | None = None) -> Iterator[Selection]:
        """The selections of ``slots``, or of all."""
        return (self.selection(slot) for slot in (range(self.supply) if slots is None else slots))

    def counts(self) -> dict[str, dict[str | None, int]]:
        """Per category how many pieces have each option (None: none), one-of-ones included.

        Options nobody has are there with 0, numbers of ranges are not; ranges whose
        numbers are unique across the collection are left out.
        """
        result: dict[str, dict[str | None, int]] = {}
        for index, name in enumerate(self.columns):
            texts = self._texts[index]
            if texts is None or texts.category.is_serial:
                continue
            category = texts.category
            counts: dict[str | None, int] = {option.name: 0 for option in category.choices}
            present, numbers = np.unique(self.rows[:, index], return_counts=True)
            for option, number in zip(present.tolist(), numbers.tolist(), strict=True):
                text = texts.name(option)
                counts[text] = counts.get(text, 0) + number
            result[name] = counts
        self._count_strange(result)
        return result

    def _count_strange(self, counts: dict[str, dict[str | None, int]]) -> None:
        """Values of one-of-ones that no option has were counted as none: put them right."""
        for slot, one in self.ones.items():
            for name, value in self.collection.one_of_ones[one].traits.items():
                if name in counts and self.rows[slot, self.columns.index(name)] == NO_OPTION:
                    counts[name][None] -= 1
                    counts[name][str(value)] = counts[name].get(str(value), 0) + 1


def _narrow(column: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """The column in the narrowest little-endian signed integers that hold it."""
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for kind in ("<i1", "<i2"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return column.astype(kind)
    return column.astype("<i4")


def _unpacked(data: bytes) -> tuple[Plan, str]:
    if not data.startswith(MAGIC):
        raise ValueError("it does not start like one")
    start = len(MAGIC) + 8
    (length,) = struct.unpack("<Q", data[len(MAGIC) : start])
    header = json.loads(data[start : start + length])
    identity, offset = header["identity"], start + length
    supply, names = int(identity["supply"]), tuple(identity["columns"])
    rows = np.zeros((supply, len(names)), dtype=np.int32)
    for index, kind in enumerate(header["types"]):
        if kind not in ("<i1", "<i2", "<i4", "|i1"):
            raise ValueError(f"it has columns of type {kind!r}")
        column = np.frombuffer(data, dtype=kind, count=supply, offset=offset)
        rows[:, index] = column
        offset += column.nbytes
    if offset != len(data):
        raise ValueError("it has bytes after its end")
    plan = Plan(
        collection=parse_collection(header["document"]),
        seed=identity["seed"],
        supply=supply,
        columns=names,
        rows=rows,
        ones={int(slot): int(one) for slot, one in identity["ones"]},
        rolls={int(slot): int(count) for slot, count in identity["rolls"]},
        retired=np.array(header["retired"], dtype=np.int32).reshape(len(header["retired"]), len(names)),
    )
    return plan, header["planHash"]


class _ColumnTexts:
    """Names, values and texts of the options of one category."""

    def __init__(self, category: Category) -> None:
        self.category = category
        self.size = category.range.size if category.range else len(category.choices)
        self._traits = () if category.range else tuple(map(self._trait, range(self.size)))

    def name(self, option: int) -> str | None:
        if not 0 <= option < self.size:
            return None
        numbers = self.category.range
        return numbers.text(option) if numbers else self.category.choices[option].name

    def value(self, option: int) -> Any:
        if not 0 <= option < self.size:
            return None
        numbers = self.category.range
        return numbers.value(option) if numbers else self.category.choices[option].value

    def text(self, option: int) -> str:
        """The value inside text: the name unless the value is text or a number."""
        name = self.name(option)
        if name is None:
            return ""
        value = self.value(option)
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        return str(value) if plain and self.category.range is None else name

    def trait(self, option: int) -> TraitValue | None:
        """What the metadata shows: numbers of unpadded or typed ranges stay numbers."""
        return self._traits[option] if 0 <= option < len(self._traits) else self._trait(option)

    def _trait(self, option: int) -> TraitValue | None:
        category = self.category
        if category.range and 0 <= option < self.size and (category.display_type or not category.range.pad):
            return category.range.value(option)
        value = self.value(option)
        typed = isinstance(value, int | float) and not isinstance(value, bool)
        return value if typed and category.display_type else self.name(option)


@dataclass(slots=True, kw_only=True)
class _Selector:
    plan: Plan
    slot: int
    given: Mapping[str, TraitValue]
    one: int | None

    def selection(self, row: Sequence[int]) -> Selection:
        texts: dict[str, tuple[_ColumnTexts, int]] = {}
        sub: str | None = None
        for index, column in enumerate(self.plan._texts):
            if column is None:
                subs = self.plan.collection.sub_collections
                sub = subs[row[index]].name if row[index] >= 0 else None
            else:
                texts[self.plan.columns[index]] = (column, row[index])
        parts = _Parts()
        for name, category in self.plan.collection.by_name.items():
            if category.seed:
                parts.add_seed(name, self.seed("category", name))
            elif name in self.given and texts[name][1] == NO_OPTION:
                parts.add_strange(category, self.given[name])
            else:
                parts.add(*texts[name])
        hand_made = self.plan.collection.one_of_ones[self.one] if self.one is not None else None
        return Selection(
            slot=self.slot,
            traits=parts.traits,
            hidden=parts.hidden,
            names=parts.names,
            values=parts.values,
            texts=parts.texts,
            binds=parts.binds,
            sub_collection=sub,
            one_of_one=hand_made.name if hand_made else None,
            overrides=dict(hand_made.inputs) if hand_made else {},
            seed=self.seed("piece"),
        )

    def seed(self, *purpose: str) -> int:
        """32 bits of the slot's own; a re-roll changes them."""
        plan = self.plan
        return seed_from(*purpose, plan.seed, self.slot, plan.rolls.get(self.slot, 0)) >> 32


@dataclass(slots=True)
class _Parts:
    """A selection as it is put together, category by category."""

    traits: dict[str, TraitValue] = field(default_factory=dict)
    hidden: dict[str, TraitValue] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    binds: dict[str, Any] = field(default_factory=dict)

    def add(self, column: _ColumnTexts, option: int) -> None:
        category = column.category
        self.names[category.name] = column.name(option)
        self.values[category.name] = column.value(option)
        self.texts[category.name] = column.text(option)
        trait = column.trait(option)
        if trait is not None:
            (self.traits if category.metadata else self.hidden)[category.label] = trait
        if category.range is None and 0 <= option < column.size:
            self.binds |= category.choices[option].bind

    def add_strange(self, category: Category, value: TraitValue) -> None:
        """A value of a one-of-one that no option has."""
        self.names[category.name] = self.texts[category.name] = str(value)
        self.values[category.name] = value
        (self.traits if category.metadata else self.hidden)[category.label] = value

    def add_seed(self, name: str, seed: int) -> None:
        self.names[name] = self.texts[name] = str(seed)
        self.values[name] = seed

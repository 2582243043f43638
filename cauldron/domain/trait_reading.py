"""Reading the trait tree out of a collection document, collecting every problem with its path."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cauldron.domain.errors import Problem
from cauldron.domain.field_reader import MISSING, FieldReader
from cauldron.domain.json_values import json_problem, shown
from cauldron.domain.traits import MAX_RANGE, Category, ImageSet, Option, Range

UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # controls; marks that turn text around
NAME = re.compile(rf"(?!\s)[^{UNSEEN}/\\]{{1,120}}(?<!\s)")
CATEGORY_NAME = re.compile(rf"(?![\s$])[^{UNSEEN}/\\\[\]]{{1,80}}(?<!\s)")
INPUT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
MAX_CATEGORIES, MAX_OPTIONS, MAX_DEPTH = 200, 20_000, 6
MAX_WEIGHT = 1e12
DISPLAY_TYPES = ("number", "boost_number", "boost_percentage", "date")
RESERVED_NAMES = ("tag",)  # a key with a meaning of its own in rules
PLAIN_NAME = "text without control characters, marks of text direction, / and \\, or white space around it"


class Reader(FieldReader):
    """A :class:`FieldReader` that suggests the key that was probably meant."""

    def __init__(self, raw: Any, path: str, problems: list[Problem]) -> None:
        super().__init__(raw, path, problems)
        self._names = tuple(map(str, raw)) if isinstance(raw, Mapping) else ()
        self._known: list[str] = []

    def take(self, name: str) -> Any:
        """The raw value of a field, or MISSING."""
        self._known.append(name)
        return super().take(name)

    def finish(self) -> None:
        """Report every field nobody asked for, with the nearest known one."""
        known, self._known = self._known, []
        for name in self._names:
            if name not in known and super().take(name) is not MISSING:
                self.problem(name, "unknown_key", f"no such key{suggestion(name, known)}")

    def given(self, name: str) -> bool:
        """Whether the document has the field."""
        return name in self._names

    def name(self, name: str = "name", *, pattern: re.Pattern[str] = NAME) -> str:
        """A required name; empty when it is wrong."""
        value = self.take(name)
        if value is MISSING:
            self.problem(name, "missing", "is required")
        elif not isinstance(value, str):
            self.problem(name, "wrong_type", f"must be text (put it in quotes), not {shown(value)}")
        elif not pattern.fullmatch(value):
            brackets = ", brackets" if pattern is CATEGORY_NAME else ""
            self.problem(name, "bad_name", f"must be {PLAIN_NAME}{brackets}, not {shown(value)}")
        else:
            return value
        return ""

    def json(self, name: str) -> Any:
        """Any JSON value, or MISSING."""
        value = self.take(name)
        if value is not MISSING and (problem := json_problem(value)) is not None:
            self.problem(name, "bad_value", problem)
            return MISSING
        return value

    def inputs(self, name: str) -> dict[str, Any]:
        """A mapping of generator inputs to JSON values."""
        value = self.json(name)
        if value is MISSING:
            return {}
        if not isinstance(value, dict):
            self.problem(name, "wrong_type", f"must be an object, not {shown(value)}")
            return {}
        for key in value:
            if not INPUT_NAME.fullmatch(key):
                self.problem(name, "bad_name", f"{shown(key)} is no name of an input")
        return dict(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` (did you mean "Hat"?)``, or nothing when nothing is close."""
    by_case = {item.casefold(): item for item in known}
    near = difflib.get_close_matches(name.casefold(), list(by_case), n=1, cutoff=0.6)
    return f' (did you mean "{by_case[near[0]]}"?)' if near else ""


def read_categories(
    fields: Reader, name: str, problems: list[Problem], *, depth: int = 0
) -> tuple[Category, ...]:
    """The categories of a list field."""
    if depth > MAX_DEPTH:
        if fields.given(name):
            fields.problem(name, "too_deep", f"categories are nested deeper than {MAX_DEPTH}")
        fields.take(name)
        return ()
    entries = fields.items(name, most=MAX_CATEGORIES)
    return tuple(_category(raw, path, problems, depth=depth) for path, raw in entries)


def _category(raw: Any, path: str, problems: list[Problem], *, depth: int) -> Category:
    fields = Reader(raw, path, problems)
    name = fields.name(pattern=CATEGORY_NAME)
    if name in RESERVED_NAMES:
        fields.problem("name", "reserved_name", f'"{name}" has a meaning of its own in rules')
    label = fields.text("label", default="", longest=80) or name
    none, none_count = _none(fields)
    unique, metadata = fields.flag("unique", default=True), fields.flag("metadata", default=True)
    display = fields.choice("displayType", DISPLAY_TYPES, default="text")
    seed = fields.flag("seed", default=False)
    options = _options(fields, problems, depth=depth)
    numbers = _range(fields, problems)
    images = _images(fields, problems)
    kinds = [k for k in ("options", "range", "images") if fields.given(k)] + ["seed"] * seed
    if len(kinds) != 1:
        said = " and ".join(kinds) if kinds else "none of them"
        fields.problem(
            "", "bad_kind", f"must have exactly one of options, range, images and seed, not {said}"
        )
    fields.finish()
    return Category(
        name=name,
        label=label,
        options=options,
        none=none,
        none_count=none_count,
        unique=unique and not seed,
        metadata=metadata and not seed,
        display_type=None if display == "text" else display,
        range=numbers,
        images=images,
        seed=seed,
    )


def _none(fields: Reader) -> tuple[float, int | None]:
    none = fields.number("none", low=0, high=1)
    count = fields.whole("noneCount", low=0)
    if none is not None and count is not None:
        fields.problem("noneCount", "ambiguous", "give none (a share) or noneCount (exact), not both")
    return float(none or 0), count


def _options(fields: Reader, problems: list[Problem], *, depth: int) -> tuple[Option, ...]:
    entries = list(fields.items("options", most=MAX_OPTIONS))
    if fields.given("options") and not entries:
        fields.problem("options", "empty", "must have at least one option")
    options = tuple(_option(raw, path, problems, depth=depth) for path, raw in entries)
    report_doubles([o.name for o in options], [path for path, _ in entries], problems, field="name")
    return options


def _option(raw: Any, path: str, problems: list[Problem], *, depth: int) -> Option:
    fields = Reader(raw, path, problems)
    name = fields.name()
    weight, count = _weight(fields), fields.whole("count", low=0)
    if weight is not None and fields.given("count"):
        fields.problem("count", "ambiguous", "give a weight or a count, not both")
    value = fields.json("value")
    option = Option(
        name=name,
        weight=1.0 if weight is None else weight,
        count=count,
        value=name if value is MISSING else value,
        bind=fields.inputs("bind"),
        tags=_tags(fields),
        categories=read_categories(fields, "categories", problems, depth=depth + 1),
    )
    fields.finish()
    return option


def _weight(fields: Reader) -> float | None:
    weight = fields.number("weight", low=0, high=MAX_WEIGHT)
    return None if weight is None else float(weight)


def _tags(fields: Reader) -> tuple[str, ...]:
    tags = []
    for path, tag in fields.items("tags", most=50):
        if isinstance(tag, str) and NAME.fullmatch(tag):
            tags.append(tag)
        else:
            fields.problems.append(
                Problem(path=path, code="bad_name", message=f"must be {PLAIN_NAME}, not {shown(tag)}")
            )
    return tuple(dict.fromkeys(tags))


def _range(fields: Reader, problems: list[Problem]) -> Range | None:
    raw = fields.take("range")
    if raw is MISSING:
        return None
    part = Reader(raw, fields.at("range"), problems)
    bound = 2.0**53
    low, high = part.number("from", low=-bound, high=bound), part.number("to", low=-bound, high=bound)
    step = part.number("step", low=1e-9, high=bound)
    pad = part.whole("pad", low=0, high=20, default=0) or 0
    unique = part.flag("unique", default=False)
    part.finish()
    if low is None or high is None:
        part.problem("", "missing", "needs from and to")
        return None
    numbers = Range(low=low, high=high, step=1 if step is None else step, pad=pad, unique=unique)
    if high < low:
        part.problem("to", "out_of_range", f"must be at least from ({low}), not {high}")
        return None
    if numbers.size > MAX_RANGE:
        part.problem("", "too_many", f"has {numbers.size} numbers, {MAX_RANGE} allowed")
        return None
    return numbers


def _images(fields: Reader, problems: list[Problem]) -> ImageSet | None:
    raw = fields.take("images")
    if raw is MISSING:
        return None
    part = Reader(raw, fields.at("images"), problems)
    folder = part.text("folder", default="", longest=500)
    entries = list(part.items("items", most=MAX_OPTIONS))
    items = tuple(_item(entry, path, problems) for path, entry in entries)
    draw = part.choice("draw", ("weight", "order"), default="weight")
    times = part.whole("times", low=1)
    if part.given("folder") == part.given("items"):
        part.problem("", "bad_kind", "needs a folder (or, once it is read, its items), and not both")
    if part.given("items") and not items:
        part.problem("items", "empty", "has no images")
    if times is not None and draw == "weight":
        part.problem("times", "ambiguous", "needs draw: order")
    report_doubles([o.name for o in items], [path for path, _ in entries], problems, field="name")
    part.finish()
    return ImageSet(folder=folder, items=items, draw=draw, times=times)


def _item(raw: Any, path: str, problems: list[Problem]) -> Option:
    fields = Reader(raw, path, problems)
    name, weight, value = fields.name(), _weight(fields), fields.json("value")
    fields.finish()
    return Option(
        name=name, weight=1.0 if weight is None else weight, value=name if value is MISSING else value
    )


def report_doubles(names: list[str], paths: list[str], problems: list[Problem], *, field: str) -> None:
    """Report every name that appeared before; empty names were reported already."""
    first: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        if name and name in first:
            where = f"{path}.{field}" if field else path
            problems.append(
                Problem(path=where, code="duplicate", message=f'"{name}" is already at {first[name]}')
            )
        first.setdefault(name, path)

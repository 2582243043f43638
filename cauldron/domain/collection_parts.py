"""The parts of a collection beside its traits: generator, one-of-ones, sub-collections, options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import Problem
from cauldron.domain.field_reader import MISSING
from cauldron.domain.json_values import shown
from cauldron.domain.rules import Choice, read_choices
from cauldron.domain.trait_reading import MAX_WEIGHT, Reader, report_doubles
from cauldron.domain.traits import TraitValue

MAX_ONE_OF_ONES, MAX_SUB_COLLECTIONS = 10_000, 100
DEFAULT_NAME = "{{collection}} #{{number}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """What makes a piece: a tool or a spell, and the inputs it is given."""

    kind: str  # tool | spell
    ref: str | Mapping[str, Any]  # a tool's id, a spell's slug or a whole spell document
    version: str | None = None  # a prefix of the version wanted; None: the newest
    inputs: Mapping[str, Any] = field(default_factory=dict)  # literals, templates, placeholders


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfOne:
    """A hand-made piece inside the supply."""

    name: str
    traits: Mapping[str, TraitValue] = field(default_factory=dict)  # category -> any value
    inputs: Mapping[str, Any] = field(default_factory=dict)  # overrides of the generator's inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class SubCollection:
    """A part of the supply with limits and weights of its own."""

    name: str
    size: int | None = None  # pieces; None: an even share of what is left
    only: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)
    without: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)
    none: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenText:
    """Templates of the metadata of every piece."""

    name: str = DEFAULT_NAME
    description: str = ""
    external_url: str = ""
    base_uri: str = ""  # prefix of image addresses
    prompt: bool = True  # keep the resolved prompt as an attribute
    symbol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookOptions:
    """How patient a cook of this collection is."""

    attempts: int = 3  # per piece
    failure_budget: float = 0.1  # share of failed pieces after which the cook pauses
    timeout_s: float = 120.0  # per attempt


def read_generator(fields: Reader, problems: list[Problem]) -> Generator:
    """The required ``generator``."""
    raw = fields.take("generator")
    if raw is MISSING:
        fields.problem("generator", "missing", "is required: {tool: …} or {spell: …}")
        return Generator(kind="tool", ref="")
    part = Reader(raw, fields.at("generator"), problems)
    kinds = [kind for kind in ("tool", "spell") if part.given(kind)]
    if len(kinds) != 1:
        part.problem("", "bad_kind", "must have exactly one of tool and spell")
    tool = part.text("tool", default=None, longest=120) if "tool" in kinds else ""
    spell = part.json("spell")
    if spell is not MISSING and not (isinstance(spell, str | dict) and spell):
        part.problem("spell", "wrong_type", f"must be a spell's slug or a whole spell, not {shown(spell)}")
        spell = MISSING
    version = part.take("version")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if version is not MISSING and not isinstance(version, str):
        part.problem("version", "wrong_type", f"must be text (put it in quotes), not {shown(version)}")
        version = MISSING
    inputs = part.inputs("inputs")
    part.finish()
    ref = tool if "tool" in kinds else "" if spell is MISSING else spell
    kind = "tool" if "tool" in kinds else "spell"
    return Generator(kind=kind, ref=ref, version=None if version is MISSING else version, inputs=inputs)


def read_one_of_ones(fields: Reader, problems: list[Problem]) -> tuple[OneOfOne, ...]:
    """The hand-made pieces; names are unique among them."""
    ones, paths = [], []
    for path, raw in fields.items("oneOfOnes", most=MAX_ONE_OF_ONES):
        part = Reader(raw, path, problems)
        ones.append(OneOfOne(name=part.name(), traits=_values(part), inputs=part.inputs("inputs")))
        part.finish()
        paths.append(path)
    report_doubles([one.name for one in ones], paths, problems, field="name")
    return tuple(ones)


def _values(part: Reader) -> dict[str, TraitValue]:
    values: dict[str, TraitValue] = {}
    for key, value in _mapping(part, "traits"):
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            message = f"must be text or a number, not {shown(value)}"
            part.problem(f"traits.{key}", "wrong_type", message)
        else:
            values[key] = value
    return values


def _mapping(part: Reader, name: str) -> list[tuple[str, Any]]:
    raw = part.json(name)
    if raw is MISSING:
        return []
    if not isinstance(raw, dict):
        part.problem(name, "wrong_type", f"must be an object, not {shown(raw)}")
        return []
    return list(raw.items())


def read_sub_collections(fields: Reader, problems: list[Problem]) -> tuple[SubCollection, ...]:
    """The sub-collections; names are unique among them."""
    subs, paths = [], []
    for path, raw in fields.items("subCollections", most=MAX_SUB_COLLECTIONS):
        part = Reader(raw, path, problems)
        subs.append(_sub_collection(part))
        part.finish()
        paths.append(path)
    report_doubles([sub.name for sub in subs], paths, problems, field="name")
    return tuple(subs)


def _sub_collection(part: Reader) -> SubCollection:
    name, size = part.name(), part.whole("size", low=1)
    chosen = {
        key: {
            category: read_choices(value, f"{part.path}.{key}.{category}", part.problems)
            for category, value in _mapping(part, key)
        }
        for key in ("only", "without")
    }
    none = {
        category: _share(part, f"none.{category}", value, high=1.0)
        for category, value in _mapping(part, "none")
    }
    weights: dict[str, dict[str, float]] = {}
    for category, table in _mapping(part, "weights"):
        if isinstance(table, dict):
            at = f"weights.{category}"
            weights[category] = {
                key: _share(part, f"{at}.{key}", value, high=MAX_WEIGHT) for key, value in table.items()
            }
        else:
            part.problem(f"weights.{category}", "wrong_type", "must be like {option: weight}")
    return SubCollection(
        name=name, size=size, only=chosen["only"], without=chosen["without"], none=none, weights=weights
    )


def _share(part: Reader, name: str, value: Any, *, high: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= high
    if not good:
        part.problem(name, "out_of_range", f"must be a number from 0 to {high:g}, not {shown(value)}")
    return float(value) if good else 0.0


def read_token_text(fields: Reader, problems: list[Problem]) -> TokenText:
    """The optional ``metadata``."""
    raw = fields.take("metadata")
    part = Reader({} if raw is MISSING else raw, fields.at("metadata"), problems)
    text = TokenText(
        name=part.text("name", default=DEFAULT_NAME, longest=500),
        description=part.text("description", longest=10_000),
        external_url=part.text("externalUrl", longest=2_000),
        base_uri=part.text("baseUri", longest=2_000),
        prompt=part.flag("prompt", default=True),
        symbol=part.text("symbol", longest=10),
    )
    part.finish()
    return text


def read_cook_options(fields: Reader, problems: list[Problem]) -> CookOptions:
    """The optional ``cook``."""
    raw = fields.take("cook")
    part = Reader({} if raw is MISSING else raw, fields.at("cook"), problems)
    attempts = part.whole("attempts", low=1, high=100, default=3)
    budget = part.number("failureBudget", low=0, high=1)
    timeout_s = part.number("timeoutS", low=0.1, high=86_400)
    part.finish()
    return CookOptions(
        attempts=attempts or 3,
        failure_budget=0.1 if budget is None else float(budget),
        timeout_s=120.0 if timeout_s is None else float(timeout_s),
    )

"""A collection: trait tree, rules, supply and generator, read strictly from one document."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cauldron.domain import collection_checks as checks
from cauldron.domain.collection_document import describe, identity
from cauldron.domain.collection_parts import (
    CookOptions,
    Generator,
    OneOfOne,
    SubCollection,
    TokenText,
    read_cook_options,
    read_generator,
    read_one_of_ones,
    read_sub_collections,
    read_token_text,
)
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.hashing import content_hash
from cauldron.domain.json_values import json_problem
from cauldron.domain.placeholders import check_text, texts_in
from cauldron.domain.rules import Names, Rule, check_rule, read_rules
from cauldron.domain.trait_reading import Reader, read_categories
from cauldron.domain.traits import Category, Placed, walk

FORMAT = 1
MAX_SUPPLY = 1_000_000
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
TOKEN_FIELDS = ("number", "collection")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A checked collection. Media may be stored references or still paths of files."""

    name: str
    slug: str
    description: str = ""
    supply: int  # pieces
    seed: str  # default seed of plans
    generator: Generator
    categories: tuple[Category, ...]
    rules: tuple[Rule, ...] = ()
    one_of_ones: tuple[OneOfOne, ...] = ()
    sub_collections: tuple[SubCollection, ...] = ()
    metadata: TokenText = field(default_factory=TokenText)
    cook: CookOptions = field(default_factory=CookOptions)

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """Every category of the tree in layer order, with its place."""
        return tuple(walk(self.categories))

    @cached_property
    def by_name(self) -> dict[str, Category]:
        """Every category of the tree by its name, in layer order."""
        return {p.category.name: p.category for p in self.placed}

    def document(self) -> dict[str, Any]:
        """The canonical document: :func:`parse_collection` of it gives an equal collection."""
        texts = {"name": self.name, "slug": self.slug, "description": self.description}
        return {
            "cauldron": FORMAT,
            **texts,
            "supply": self.supply,
            "seed": self.seed,
            **describe(self.generator, self.categories, self.rules),
            **describe_rest(self),
        }

    @cached_property
    def version_hash(self) -> str:
        """Hash of what decides the pieces: generator, traits, rules, one-of-ones, sub-collections.

        Media count by their content; name, texts, supply, seed, metadata and cook
        options do not count (supply and seed are part of a plan's own hash).
        """
        document = self.document()
        parts = ("generator", "categories", "rules", "oneOfOnes", "subCollections")
        return content_hash(identity({part: document[part] for part in parts}))


def describe_rest(collection: Collection) -> dict[str, Any]:
    """One-of-ones, sub-collections, metadata and cook options as the document writes them."""
    text, cook = collection.metadata, collection.cook
    return {
        "oneOfOnes": [
            {"name": one.name, "traits": dict(one.traits), "inputs": dict(one.inputs)}
            for one in collection.one_of_ones
        ],
        "subCollections": [_describe_sub(sub) for sub in collection.sub_collections],
        "metadata": {
            "name": text.name,
            "description": text.description,
            "externalUrl": text.external_url,
            "baseUri": text.base_uri,
            "prompt": text.prompt,
            "symbol": text.symbol,
        },
        "cook": {
            "attempts": cook.attempts,
            "failureBudget": cook.failure_budget,
            "timeoutS": cook.timeout_s,
        },
    }


def _describe_sub(sub: SubCollection) -> dict[str, Any]:
    return {
        "name": sub.name,
        **({"size": sub.size} if sub.size is not None else {}),
        "only": {category: list(choices) for category, choices in sub.only.items()},
        "without": {category: list(choices) for category, choices in sub.without.items()},
        "none": dict(sub.none),
        "weights": {category: dict(table) for category, table in sub.weights.items()},
    }


def parse_collection(doc: Mapping[str, Any], *, source: str = "") -> Collection:
    """The collection a document describes.

    Args:
        doc: the parsed document; media as paths or as stored references.
        source: file name, for messages only.

    Raises:
        InvalidMany: everything that is wrong, each with a path like
            ``categories[2].options[0].weight``.
    """
    collection, problems = _read(doc)
    if problems:
        raise InvalidMany(problems, source=source)
    return collection


def check_collection(doc: Mapping[str, Any], *, source: str = "") -> list[Problem]:
    """Everything that is wrong with a document; an empty list when nothing is."""
    del source  # problems carry paths; the caller knows the file
    return _read(doc)[1]


def _read(doc: Any) -> tuple[Collection, list[Problem]]:
    problems: list[Problem] = []
    fields = Reader(doc, "", problems)
    if not isinstance(doc, Mapping) or (wrong := json_problem(dict(doc))) is not None:
        reason = wrong if isinstance(doc, Mapping) else "must be an object"
        return _empty(), [Problem(path="document", code="wrong_type", message=str(reason))]
    version = fields.take("cauldron")
    if version != FORMAT or isinstance(version, bool):
        fields.problem("cauldron", "bad_version", f"must be {FORMAT}, the version of this format")
    name = fields.name()
    if len(name) > 80:
        fields.problem("name", "too_long", f"has {len(name)} characters, 80 allowed")
    slug = fields.text("slug", default="", pattern=SLUG, longest=80, wanted="like lantern-keepers")
    supply = fields.whole("supply", low=1, high=MAX_SUPPLY)
    if not fields.given("supply"):
        fields.problem("supply", "missing", f"is required: pieces, from 1 to {MAX_SUPPLY}")
    collection = Collection(
        name=name,
        slug=slug or _slug_of(name),
        description=fields.text("description", longest=20_000),
        supply=supply or 1,
        seed=_seed(fields),
        generator=read_generator(fields, problems),
        categories=read_categories(fields, "categories", problems),
        rules=read_rules(fields, problems),
        one_of_ones=read_one_of_ones(fields, problems),
        sub_collections=read_sub_collections(fields, problems),
        metadata=read_token_text(fields, problems),
        cook=read_cook_options(fields, problems),
    )
    if not collection.categories and not any(p.path.startswith("categories") for p in problems):
        fields.problem("categories", "missing", "must have at least one category")
    fields.finish()
    if not problems:
        problems += _check(collection)
    elif supply:
        problems += _check_names(collection)
    return collection, problems


def _seed(fields: Reader) -> str:
    seed = fields.take("seed")
    if isinstance(seed, int) and not isinstance(seed, bool):
        return str(seed)
    if isinstance(seed, str) and len(seed) <= 200:
        return seed
    if fields.given("seed"):
        fields.problem("seed", "wrong_type", "must be text of at most 200 characters")
    return ""


def _slug_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].strip("-") or "collection"


def _empty() -> Collection:
    return Collection(
        name="", slug="", supply=1, seed="", generator=Generator(kind="tool", ref=""), categories=()
    )


def _check(collection: Collection) -> list[Problem]:
    problems = [*checks.check_tree(collection.placed), *_check_names(collection)]
    problems += checks.check_counts(collection.placed, supply=collection.supply)
    return problems + check_placeholders(collection)


def _check_names(collection: Collection) -> list[Problem]:
    subs = collection.sub_collections
    names = Names.of(collection.placed, sub_collections=[sub.name for sub in subs])
    ones = collection.one_of_ones
    problems = list(checks.check_one_of_ones(ones, names, supply=collection.supply))
    problems += checks.check_sub_collections(subs, names, available=collection.supply - len(ones))
    for index, rule in enumerate(collection.rules):
        problems += check_rule(rule, names, path=f"rules[{index}]")
    return problems


def check_placeholders(collection: Collection) -> list[Problem]:
    """Placeholders that name nothing, in inputs, binds, overrides and metadata."""
    known = list(collection.by_name)
    inputs: list[tuple[str, Any]] = [("generator.inputs", collection.generator.inputs)]
    for p in collection.placed:
        for index, option in enumerate(p.category.options):
            inputs.append((f"{p.path}.options[{index}].bind", option.bind))
    inputs += [(f"oneOfOnes[{i}].inputs", one.inputs) for i, one in enumerate(collection.one_of_ones)]
    problems = []
    for path, value in inputs:
        for where, text in texts_in(value, path):
            problems += check_text(text, path=where, categories=known)
    meta = collection.metadata
    templates = {"name": meta.name, "description": meta.description, "externalUrl": meta.external_url}
    for key, text in templates.items():
        problems += check_text(text, path=f"metadata.{key}", categories=known, fields=TOKEN_FIELDS)
    return problems


def media_paths(doc: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every place of a document that still names a file or a folder of images.

    Yields:
        ``(path in the document, path of the file)``: the text under a key ``image``
        or ``file`` of an object that is a value, and ``images.folder`` of a category.
        Placeholders are not paths.
    """
    generator = doc.get("generator")
    if isinstance(generator, Mapping):
        yield from _in_inputs(generator.get("inputs"), "generator.inputs")
    yield from _in_categories(doc.get("categories"), "categories")
    for index, one in _each(doc.get("oneOfOnes")):
        yield from _in_inputs(one.get("inputs"), f"oneOfOnes[{index}].inputs")


def _each(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, Mapping))


def _in_categories(value: Any, path: str) -> Iterator[tuple[str, str]]:
    for index, category in _each(value):
        here = f"{path}[{index}]"
        images = category.get("images")
        if isinstance(images, Mapping):
            if isinstance(images.get("folder"), str):
                yield f"{here}.images.folder", images["folder"]
            for position, item in _each(images.get("items")):
                yield from _in_value(item.get("value"), f"{here}.images.items[{position}].value")
        for position, option in _each(category.get("options")):
            inner = f"{here}.options[{position}]"
            yield from _in_value(option.get("value"), f"{inner}.value")
            yield from _in_inputs(option.get("bind"), f"{inner}.bind")
            yield from _in_categories(option.get("categories"), f"{inner}.categories")


def _in_inputs(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The names of inputs are not keys of a value: an input may well be called ``image``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _in_value(item, f"{path}.{key}")


def _in_value(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("image", "file") and isinstance(item, str):
                if "[[" not in item:
                    yield f"{path}.{key}", item
            else:
                yield from _in_value(item, f"{path}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _in_value(item, f"{path}[{index}]")

"""Writing traits, rules and generator back as a document, and what of it makes its identity."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauldron.domain.collection_parts import Generator
from cauldron.domain.media import is_media
from cauldron.domain.rules import Rule
from cauldron.domain.traits import Category, Option


def describe(generator: Generator, categories: Sequence[Category], rules: Sequence[Rule]) -> dict[str, Any]:
    """``generator``, ``categories`` and ``rules`` as the document writes them."""
    ref = generator.ref if isinstance(generator.ref, str) else dict(generator.ref)
    made_by: dict[str, Any] = {generator.kind: ref, "inputs": dict(generator.inputs)}
    if generator.version is not None:
        made_by["version"] = generator.version
    return {
        "generator": made_by,
        "categories": [_category(category) for category in categories],
        "rules": [rule.document() for rule in rules],
    }


def _category(category: Category) -> dict[str, Any]:
    """One category; what has its default value is left out."""
    parts: dict[str, Any] = {"name": category.name}
    if category.label != category.name:
        parts["label"] = category.label
    if category.none:
        parts["none"] = category.none
    if category.none_count is not None:
        parts["noneCount"] = category.none_count
    if not category.seed:
        parts |= {key: False for key in ("unique", "metadata") if not getattr(category, key)}
    if category.display_type:
        parts["displayType"] = category.display_type
    if category.seed:
        parts["seed"] = True
    elif category.range is not None:
        numbers = category.range
        parts["range"] = {"from": numbers.low, "to": numbers.high, "step": numbers.step}
        parts["range"] |= {"pad": numbers.pad, "unique": numbers.unique}
    elif category.images is not None:
        images = category.images
        source = {"folder": images.folder} if images.folder else {"items": [_option(i) for i in images.items]}
        parts["images"] = {**source, "draw": images.draw}
        parts["images"] |= {"times": images.times} if images.times is not None else {}
    else:
        parts["options"] = [_option(option) for option in category.options]
    return parts


def _option(option: Option) -> dict[str, Any]:
    parts: dict[str, Any] = {"name": option.name}
    if option.count is not None:
        parts["count"] = option.count
    elif option.weight != 1:
        parts["weight"] = option.weight
    if option.value != option.name:
        parts["value"] = option.value
    if option.bind:
        parts["bind"] = dict(option.bind)
    if option.tags:
        parts["tags"] = list(option.tags)
    if option.categories:
        parts["categories"] = [_category(category) for category in option.categories]
    return parts


def identity(value: Any) -> Any:
    """``value`` with every stored medium reduced to its content: names and sizes do not count."""
    if is_media(value):
        return {"media": value["media"]}
    if isinstance(value, Mapping):
        return {key: identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    return value

"""From a selection to the generator's inputs and to names: placeholders filled, types kept."""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.collection import Collection, check_placeholders
from cauldron.domain.media import is_media
from cauldron.domain.placeholders import category_of, render, whole
from cauldron.domain.plan import Selection

__all__ = ["check_placeholders", "fill_text", "resolve_inputs"]

MEDIA_KEY = "image"  # an object whose picture is missing is no layer at all
DROPPED: Any = object()


def resolve_inputs(collection: Collection, selection: Selection) -> dict[str, Any]:
    """The inputs of the generator for one piece.

    The generator's own inputs, overridden by what options bind, overridden by what a
    one-of-one sets; placeholders in all three are filled, once. A text that is one
    whole placeholder becomes the value with its type. List items that are null, or
    objects whose ``image`` is null, are dropped; elsewhere such objects become null.
    Where ``image`` is given a value that is itself an object with an ``image``, its
    other keys come along and explicit ones win.
    """
    templates = {**collection.generator.inputs, **selection.binds, **selection.overrides}
    return {name: _none_if_dropped(_filled(value, selection)) for name, value in templates.items()}


def fill_text(template: str, selection: Selection, *, extra: Mapping[str, str]) -> str:
    """A name or description: ``[[Category]]`` and the ``{{fields}}`` of ``extra`` as text, in one pass.

    Args:
        extra: ``number`` and ``collection``, as text.
    """
    return render(template, trait=lambda name: _text(name, selection), fields=extra)


def _filled(value: Any, selection: Selection) -> Any:
    if isinstance(value, str):
        only = whole(value)
        if only is not None:
            return _value(only.name, selection)
        return render(value, trait=lambda name: _text(name, selection))
    if is_media(value):
        return value
    if isinstance(value, Mapping):
        return _filled_object(value, selection)
    if isinstance(value, list | tuple):
        items = (_filled(item, selection) for item in value)
        return [item for item in items if item is not None and item is not DROPPED]
    return value


def _filled_object(value: Mapping[str, Any], selection: Selection) -> Any:
    filled = {key: _filled(item, selection) for key, item in value.items()}
    if MEDIA_KEY in filled:
        picture = filled[MEDIA_KEY]
        if picture is None or picture is DROPPED:
            return DROPPED
        if isinstance(picture, Mapping) and MEDIA_KEY in picture:
            filled = {**picture, **filled, MEDIA_KEY: picture[MEDIA_KEY]}
    return {key: _none_if_dropped(item) for key, item in filled.items()}


def _none_if_dropped(value: Any) -> Any:
    return None if value is DROPPED else value


def _value(name: str, selection: Selection) -> Any:
    """What a whole placeholder stands for, typed."""
    if name == "$seed":
        return selection.seed
    if name == "$slot":
        return selection.slot
    category, by_name = category_of(name, selection.values)
    return selection.names.get(category) if by_name else selection.values.get(category)


def _text(name: str, selection: Selection) -> str:
    """What a placeholder inside longer text stands for."""
    if name in ("$seed", "$slot"):
        return str(_value(name, selection))
    category, by_name = category_of(name, selection.values)
    return (selection.names.get(category) or "") if by_name else selection.texts.get(category, "")

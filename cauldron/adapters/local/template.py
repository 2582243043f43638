"""``text.template``: puts values into a text, once; also used by ``svg.template``."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cauldron.adapters.local.refusals import refusal
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.ports.tools import Media, Produced

PLACEHOLDER = re.compile(r"\\(\{\{)|\{\{\s*([^{}\s][^{}]{0,99}?)\s*\}\}")
MAX_VALUES = 500
MAX_VALUE = 20_000  # characters
MAX_RESULT = 400_000  # characters


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The text with its values, as the output ``text``.

    Raises:
        InvalidMany: a value that is not text, a number or true/false, or a
            placeholder without a value.
    """
    text = filled(
        inputs["template"],
        inputs.get("values") or {},
        path="text.template",
        missing=inputs["missing"],
    )
    return [Produced(port="text", value=text, mime="text/plain")]


def filled(
    template: str,
    values: Any,
    *,
    path: str,
    missing: str = "error",
    escape: Callable[[str], str] = str,
) -> str:
    """``template`` with every ``{{name}}`` replaced in one pass; ``\\{{`` is a literal ``{{``."""
    texts = _texts(values, path)
    unknown = {m[2] for m in PLACEHOLDER.finditer(template) if m[2] and m[2] not in texts}
    if unknown and missing == "error":
        raise InvalidMany(
            [
                Problem(path=f"{path}.template", code="no_value", message=f"{{{{{n}}}}} has no value")
                for n in sorted(unknown)
            ]
        )
    result = PLACEHOLDER.sub(lambda m: m[1] or escape(texts.get(m[2], "")), template)
    if len(result) > MAX_RESULT:
        message = f"becomes {len(result)} characters, {MAX_RESULT} allowed"
        raise refusal(f"{path}.template", "too_long", message)
    return result


def _texts(values: Any, path: str) -> dict[str, str]:
    """Values as text: whole floats without a point, true and false in lower case, null empty."""
    if not isinstance(values, Mapping):
        raise refusal(f"{path}.values", "wrong_type", f"must be an object, not {values!r:.60}")
    if len(values) > MAX_VALUES:
        message = f"has {len(values)} values, {MAX_VALUES} allowed"
        raise refusal(f"{path}.values", "out_of_range", message)
    return {str(name): _text(value, f"{path}.values.{name}") for name, value in values.items()}


def _text(value: Any, path: str) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case str() | int() | float():
            text = str(value)
            if len(text) <= MAX_VALUE:
                return text
            raise refusal(path, "too_long", f"has {len(text)} characters, {MAX_VALUE} allowed")
    raise refusal(path, "wrong_type", f"must be text, a number or true/false, not {value!r:.60}")

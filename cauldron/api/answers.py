"""Answers that are documents: encoded once, without a second look by a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from cauldron.api.shapes import encode_cursor
from cauldron.ports.storage import Doc
from cauldron.services.pages import Page


def json_answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON; its shape is what the route declares."""
    return Response(
        orjson.dumps(body), status_code=status, headers=dict(headers or {}), media_type="application/json"
    )


def page_answer(page: Page, show: Callable[[Doc], dict[str, Any]]) -> Response:
    """A page of records, each as ``show`` shows it."""
    after = encode_cursor(page.next) if page.next is not None else None
    return json_answer({"items": [show(doc) for doc in page.items], "next": after})


def picked(doc: Mapping[str, Any], fields: Sequence[str], **names: str) -> dict[str, Any]:
    """Fields of a record as they are, and those of ``names`` (public name → field) renamed."""
    found = {public: doc.get(field) for public, field in names.items()}
    return found | {field: doc.get(field) for field in fields}

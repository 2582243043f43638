"""The page that tells people what the API can do: every route with an example, from the OpenAPI document."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from cauldron.api.access import TheStudio
from cauldron.api.openapi import TITLES, operations
from cauldron.api.routes.spell_pages import PAGE_HEADERS, site_of, visitor_of
from cauldron.web.pages import Entry, Given, Sample, api_page

router = APIRouter(tags=["pages"])
CODE = re.compile(r"``?([^`]+)``?")
MOST_SAMPLE = 4_000  # characters; a longer example is cut


@router.get("/api", summary="The page of this API", response_class=HTMLResponse)
async def get_api_page(request: Request, studio: TheStudio) -> Response:
    """What `/api/v1/openapi.json` says, for people."""
    groups: dict[str, list[Entry]] = {}
    for path, method, operation in operations(request.app.openapi()):
        tag = operation["tags"][0]
        groups.setdefault(TITLES.get(tag, tag.capitalize()), []).append(_entry(path, method, operation))
    page = api_page(site_of(request, studio), groups=groups, visitor=visitor_of(request))
    return HTMLResponse(page, headers=PAGE_HEADERS)


def _entry(path: str, method: str, operation: Mapping[str, Any]) -> Entry:
    return Entry(
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=tuple(_spans(operation.get("description", ""))),
        is_deprecated=bool(operation.get("deprecated")),
        given=tuple(_given(each) for each in operation.get("parameters", ())),
        body=next(_samples("", operation.get("requestBody", {})), None),
        answers=tuple(
            sample
            for status, answer in operation["responses"].items()
            if status.startswith("2")
            for sample in _samples(status, answer)
        ),
    )


def _spans(text: str) -> Iterator[tuple[bool, str]]:
    """Pieces of a docstring, and whether each is code."""
    for number, piece in enumerate(CODE.split(" ".join(text.split()))):
        if piece:
            yield number % 2 == 1, piece


def _given(parameter: Mapping[str, Any]) -> Given:
    schema = parameter.get("schema", {})
    choices = [str(each) for form in (schema, *schema.get("anyOf", ())) for each in form.get("enum", ())]
    words = [parameter.get("description") or schema.get("description") or ""]
    if choices:
        words.append(f"One of {', '.join(choices)}.")
    if schema.get("default") is not None:
        words.append(f"Without it: {schema['default']}.")
    return Given(
        name=parameter["name"],
        place=parameter["in"],
        is_needed=bool(parameter.get("required")),
        text=" ".join(word for word in words if word),
    )


def _samples(status: str, part: Mapping[str, Any]) -> Iterator[Sample]:
    """An example of each kind of content."""
    for media, form in part.get("content", {}).items():
        example = form.get("example")
        if example is None:
            text = ""
        elif isinstance(example, str):
            text = example.strip()
        else:
            text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
        cut = f"{text[:MOST_SAMPLE]}\n…" if len(text) > MOST_SAMPLE else text
        yield Sample(status=status, media=media, text=cut)
    if status and not part.get("content"):
        yield Sample(status=status, media="", text="")

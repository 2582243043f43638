"""The OpenAPI document: what FastAPI knows of the routes, with our errors, keys, streams and examples."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute, Route

from cauldron.api.examples import example_of

METHODS = ("get", "put", "post", "delete", "patch")
OPEN = ("/healthz", "/readyz", "/api/v1/version")  # whoever asks
TITLES: Mapping[str, str] = {  # of tags whose name alone would not do
    "health": "Health and metrics",
    "live": "Live progress",
    "internal": "Service to service",
}
DESCRIPTION = """Everything a studio can do. JSON in camelCase; errors are `application/problem+json` with a
stable `code`; lists are pages with an opaque `cursor`; edits name the version they change in `If-Match`;
requests that change something may carry an `Idempotency-Key` and are then carried out once."""
PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:cauldron:problem:not_found"]},
        "title": {"type": "string", "examples": ["Not found"]},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "examples": [404]},
        "code": {"type": "string", "examples": ["not_found"]},
        "detail": {"type": "string", "examples": ["there is no cook 'x'"]},
        "details": {"type": "object"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "code", "message"],
                "properties": {
                    "path": {"type": "string", "examples": ["definition.supply"]},
                    "code": {"type": "string", "examples": ["missing"]},
                    "message": {"type": "string", "examples": ["is required"]},
                },
            },
        },
    },
}
STREAM: Mapping[str, Any] = {
    "description": "Server-sent events, each with an id to go on from.",
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": "retry: 2000\n\n"}},
}


def describe(app: FastAPI, raw: tuple[BaseRoute, ...]) -> dict[str, Any]:
    """The document of an application, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            routes=app.routes,
            description=DESCRIPTION,
            servers=app.servers,
        )
        document["paths"] |= _streams(raw)
        parts = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            parts.pop(unused, None)
        parts["Problem"] = dict(PROBLEM)
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
            "session": {"type": "apiKey", "in": "cookie", "name": "__Host-cauldron"},
        }
        for path, _, operation in operations(document):
            _complete(path, operation, parts)
        app.openapi_schema = document
    return app.openapi_schema


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (path, method, operation) of a document."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(path: str, operation: dict[str, Any], parts: Mapping[str, Any]) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    problem = {
        "description": "A problem.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    answers["4XX"], answers["5XX"] = problem, problem
    operation["security"] = [{}] if path in OPEN else [{"key": []}, {"session": []}, {}]
    for content in _contents(operation):
        for media, form in content.items():
            if "json" in media and "example" not in form and "schema" in form:
                form["example"] = example_of(form["schema"], parts)


def _contents(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "requestBody" in operation:
        yield operation["requestBody"]["content"]
    for answer in operation["responses"].values():
        if "content" in answer:
            yield answer["content"]


def _streams(raw: tuple[BaseRoute, ...]) -> dict[str, Any]:
    """Endpoints that stand beside FastAPI: event streams. WebSockets have no place in OpenAPI."""
    found: dict[str, Any] = {}
    for route in raw:
        if isinstance(route, Route):
            names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
            found[route.path] = {
                "get": {
                    "tags": ["live"],
                    "summary": (route.name or route.path).capitalize(),
                    "operationId": (route.name or route.path).replace(" ", "_"),
                    "parameters": [
                        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                        for name in names
                    ],
                    "responses": {"200": dict(STREAM)},
                }
            }
    return found

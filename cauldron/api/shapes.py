"""Conventions of bodies: camelCase, strict, unknown fields refused; opaque cursor pages; versions."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.requests import Request

from cauldron.domain.errors import CauldronError, Invalid, InvalidMany, StaleVersion

MAX_PAGE = 100


class Body(BaseModel):
    """A request body: nothing is coerced, nothing unknown is accepted."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=False, extra="forbid", strict=True
    )


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Malformed(InvalidMany):
    """A payload or query that is not what its command or route takes."""

    code = "invalid_request"


class PreconditionFailed(CauldronError):
    """The version named in If-Match is not the present one."""

    code = "version_mismatch"


class PreconditionRequired(CauldronError):
    """An edit must say which version it changes."""

    code = "version_required"


def encode_cursor(place: Sequence[Any]) -> str:
    """An opaque cursor for the place after which the next page begins."""
    return base64.urlsafe_b64encode(orjson.dumps(list(place))).decode().rstrip("=")


def decode_cursor(text: str, *, fields: int) -> tuple[Any, ...]:
    """The place a cursor stands for. Raises Invalid."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = orjson.loads(raw)
    except (ValueError, binascii.Error) as bad:
        raise Invalid("cursor: not one of ours") from bad
    if not isinstance(place, list) or len(place) != fields or not all(map(_scalar, place)):
        raise Invalid("cursor: not one of ours")
    return tuple(place)


def _scalar(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def etag(version: int) -> str:
    """The entity tag of a record's version."""
    return f'"{version}"'


def expected_version(request: Request) -> int:
    """The version that If-Match names. Raises PreconditionRequired, PreconditionFailed."""
    given = request.headers.get("if-match")
    if given is None:
        raise PreconditionRequired("send If-Match with the ETag of the version that you change")
    text = given.strip().strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise PreconditionFailed("If-Match names no version of this record")
    return int(text)


@contextmanager
def revising() -> Iterator[None]:
    """For edits of the version that If-Match named: raises PreconditionFailed where it has become stale."""
    try:
        yield
    except StaleVersion as stale:
        raise PreconditionFailed(stale.message) from stale

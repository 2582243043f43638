"""Which account may read which media: one small record per account and content.

What a cook made is found by its pieces and needs none; uploads, definitions and
casts leave one, written beside the record that names the content.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cauldron.domain.media import MediaRef, digest_of, is_media
from cauldron.persistence.tables import MEDIA_GRANTS
from cauldron.ports.storage import Insert

MAX_DEPTH = 60


def media_in(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, MediaRef]]:
    """Every media reference inside a JSON value, with its path."""
    if depth > MAX_DEPTH:
        return
    if is_media(value):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from media_in(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from media_in(inner, f"{path}[{index}]", depth + 1)


def grant_id(account: str, digest: str) -> str:
    """The id of a grant."""
    return f"{account}:{digest}"


def grants(
    value: Any, *, account: str, environment: str, at: str, cast_id: str | None = None
) -> list[Insert]:
    """Grants for all media inside ``value`` as of ``at``; to be committed each on its own."""
    found: dict[str, Insert] = {}
    for _, ref in media_in(value):
        digest = digest_of(ref)
        doc = {
            "_id": grant_id(account, digest),
            "owner": account,
            "environment": environment,
            "mime": str(ref.get("mime") or "application/octet-stream"),
            "castId": cast_id,
            "createdAt": at,
        }
        found.setdefault(digest, Insert(MEDIA_GRANTS, doc))
    return list(found.values())

"""How stored media are answered: typed, never sniffed, never run, cached for good by whoever asked."""

from pathlib import Path

from starlette.responses import Response

from cauldron.api.ranges import FileContent, RangedAnswer
from cauldron.bootstrap import Studio
from cauldron.domain.export import EXTENSIONS
from cauldron.domain.tool import MIME

# What a browser only shows or plays. Everything else, SVG and HTML above all, is a download.
SHOWN = frozenset(
    (
        "image/png", "image/apng", "image/jpeg", "image/webp", "image/gif", "image/avif",
        "video/mp4", "video/webm", "audio/mpeg", "audio/wav", "audio/ogg",
    )
)  # fmt: skip
FOR_GOOD = "private, max-age=31536000, immutable"


def media_headers(digest: str, mime: str) -> dict[str, str]:
    """Headers of an answer with a content."""
    kind = mime.partition(";")[0].strip().lower()
    how = "inline" if kind in SHOWN else "attachment"
    name = f"{digest[:16]}.{EXTENSIONS.get(kind, 'bin')}"
    return {
        "cache-control": FOR_GOOD,
        "content-disposition": f'{how}; filename="{name}"',
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-origin",
    }


async def media_answer(studio: Studio, digest: str, *, mime: str) -> Response:
    """A stored content. Raises NotFound."""
    return file_answer(await studio.blobs.local_path(digest), digest, mime=mime)


def file_answer(path: Path, tag: str, *, mime: str) -> Response:
    """A local file that never changes under ``tag``."""
    kind = mime.partition(";")[0].strip()
    kind = kind if MIME.fullmatch(kind) else "application/octet-stream"
    return RangedAnswer(FileContent(path), etag=f'"{tag}"', media_type=kind, headers=media_headers(tag, kind))

"""What anybody may see: the start page, the pages of spells, what they say of themselves, static files."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import Field
from starlette.responses import Response

from cauldron import __version__
from cauldron.api.access import TheStudio
from cauldron.api.answers import json_answer
from cauldron.api.authentication import session_token
from cauldron.api.headers import PREVIEW_COOKIE
from cauldron.api.origins import is_secure
from cauldron.api.shapes import Answer
from cauldron.bootstrap import Studio
from cauldron.domain.credentials import SESSION, parse_token
from cauldron.domain.errors import CauldronError, NotFound
from cauldron.domain.hashing import content_hash
from cauldron.domain.identity import Principal
from cauldron.domain.media import MediaRef, digest_of, is_media
from cauldron.ports.sharing import CARD_HEIGHT, CARD_MIME, CARD_WIDTH
from cauldron.services.offering import Offer, SpellGone
from cauldron.services.spell_versions import MOST_PREVIEWS, margin_of
from cauldron.services.thumbnails import PICTURES
from cauldron.web.assets import assets
from cauldron.web.pages import Site, Visitor, crawler_page, missing_page, spell_page, start_page

router = APIRouter(tags=["pages"])
Slug = Annotated[str, Path(description="The spell's slug.", max_length=64)]
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
PREVIEW_EDGE_PX = 1024
MOST_CARDS = 64  # that are kept drawn
FOR_GOOD = "public, max-age=31536000, immutable"
FOR_AN_HOUR = "public, max-age=3600"
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
OLD_WAY = (
    "You came the way of the preview, which goes on 20 November 2027. "
    "Keep the address of this page; programs ask for an invoice, then cast."
)


class StepAnswer(Answer):
    """A step, and the steps whose results it uses."""

    id: str
    label: str
    needs: list[str]


class PreviewAnswer(Answer):
    """A picture that the spell made."""

    path: str
    width: int | None
    height: int | None


class OpenGraph(Answer):
    """What sites that show a link to the spell say of it."""

    type: str
    site_name: str
    title: str
    description: str
    url: str
    image: str
    image_type: str
    image_width: int
    image_height: int
    image_alt: str


class MetaAnswer(Answer):
    """A spell as visitors see it. What has not been measured yet is null."""

    slug: str
    title: str
    description: str
    version: int
    visibility: Literal["public", "unlisted"]
    inputs_schema: dict[str, Any]
    steps: list[StepAnswer]
    previews: list[PreviewAnswer]
    margin: dict[str, float] = Field(description="What its creator asks for on top of what a run costs.")
    avg_cost_pts_cached: float | None
    avg_runtime_ms_cached: float | None
    stats_as_of: str | None
    open_graph: OpenGraph


def site_of(request: Request, studio: Studio) -> Site:
    """Where the page that is asked for lies, as its visitor sees it."""
    hosts = request.headers.getlist("host")
    known = len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
    scheme = "https" if is_secure(request.scope) else "http"
    return Site(origin=f"{scheme}://{hosts[0]}" if known else "", root=studio.settings.root_path)


def visitor_of(request: Request) -> Visitor:
    """Whether who looks may cast, and the token that their page must send."""
    who = request.scope.get("state", {}).get("principal")
    if not isinstance(who, Principal):
        return Visitor()
    token = parse_token(session_token(request.scope, request.headers) or "", SESSION)
    return Visitor(
        may_cast=not who.scopes.isdisjoint(("cast", "visit")),
        csrf=token.csrf if token and who.via == "session" else "",
        is_known=not who.is_guest,
        is_guest=who.is_guest,
        is_local=who.via == "local",
    )


def shown_previews(offer: Offer) -> list[MediaRef]:
    """Those preview images that browsers can show, the first few."""
    return [ref for ref in offer.previews() if is_media(ref) and ref.get("mime") in PICTURES][:MOST_PREVIEWS]


async def meta_document(studio: Studio, offer: Offer, site: Site) -> dict[str, Any]:
    """What ``GET /api/v1/spells/:slug/meta`` answers."""
    slug, description = offer.slug, " ".join(offer.description.split())
    stats = await studio.workshop.spell_stats.spell(str(offer.record["_id"]))
    previews = [
        {
            "path": f"/spells/{slug}/previews/{digest_of(ref)}",
            "width": ref.get("width"),
            "height": ref.get("height"),
        }
        for ref in shown_previews(offer)
    ]
    return {
        "slug": slug,
        "title": offer.title,
        "description": offer.description,
        "version": offer.version["version"],
        "visibility": offer.record["visibility"],
        "inputsSchema": offer.inputs_schema(),
        "steps": offer.steps(),
        "previews": previews,
        "margin": margin_of(offer.record),
        **{name: stats.get(name) for name in ("avgCostPtsCached", "avgRuntimeMsCached", "statsAsOf")},
        "openGraph": {
            "type": "website",
            "siteName": "Cauldron",
            "title": offer.title,
            "description": (description or f"A spell of {len(offer.steps())} steps.")[:300],
            "url": site.address(f"/spells/{slug}"),
            "image": site.address(f"/spells/{slug}/og/image"),
            "imageType": CARD_MIME,
            "imageWidth": CARD_WIDTH,
            "imageHeight": CARD_HEIGHT,
            "imageAlt": f"A result of {offer.title}" if previews else offer.title,
        },
    }


@router.get(
    "/api/v1/spells/{slug}/meta",
    tags=["spells"],
    summary="A spell as visitors see it",
    responses={200: {"model": MetaAnswer}},
)
async def get_meta(slug: Slug, request: Request, studio: TheStudio) -> Response:
    """For everybody: what it makes, takes and costs. A private spell, or one not published, is not there."""
    offer = await studio.workshop.offering.find(slug)
    return json_answer(await meta_document(studio, offer, site_of(request, studio)))


@router.get("/", summary="The start page", response_class=HTMLResponse)
async def get_start(request: Request, studio: TheStudio) -> Response:
    """What the studio is, its public spells, and the way to the API's description."""
    site = site_of(request, studio)
    listed = [_card(record) for record in await studio.workshop.offering.listed()]
    page = start_page(site, spells=listed, version=__version__, visitor=visitor_of(request))
    return HTMLResponse(page, headers=PAGE_HEADERS)


def _card(record: Mapping[str, Any]) -> dict[str, Any]:
    found = [ref for ref in record["previewImages"] if is_media(ref) and ref.get("mime") in PICTURES]
    picture = f"/spells/{record['slug']}/previews/{digest_of(found[0])}" if found else None
    return {key: record[key] for key in ("slug", "name", "description")} | {"picture": picture}


async def answer_page(slug: str, request: Request, studio: Studio, *, crawler: bool = False) -> Response:
    """A page of a spell, or the page that says that there is none."""
    site = site_of(request, studio)
    try:
        offer = await studio.workshop.offering.find(slug)
    except SpellGone as gone:
        page = missing_page(site, visitor=visitor_of(request), gone=gone.message)
        return HTMLResponse(page, status_code=410, headers=PAGE_HEADERS)
    except NotFound:
        page = missing_page(site, visitor=visitor_of(request))
        return HTMLResponse(page, status_code=404, headers=PAGE_HEADERS)
    meta = await meta_document(studio, offer, site)
    if crawler:
        return HTMLResponse(crawler_page(site, meta=meta), headers=PAGE_HEADERS)
    old_way = request.query_params.get("from") == "preview" or PREVIEW_COOKIE in request.cookies
    page = spell_page(
        site,
        meta=meta,
        visitor=visitor_of(request),
        notice=OLD_WAY if old_way else "",
        guests=studio.settings.guests,
    )
    return HTMLResponse(page, headers=PAGE_HEADERS)


@router.get("/spells/{slug}", summary="The page of a spell", response_class=HTMLResponse)
async def get_spell_page(slug: Slug, request: Request, studio: TheStudio) -> Response:
    """A form, its price, the run, the results; with OpenGraph tags."""
    return await answer_page(slug, request, studio)


@router.get("/spells/{slug}/og", summary="The page of a spell, for crawlers", response_class=HTMLResponse)
async def get_crawler_page(slug: Slug, request: Request, studio: TheStudio) -> Response:
    """The same tags over a page without scripts."""
    return await answer_page(slug, request, studio, crawler=True)


IMAGE: dict[int | str, dict[str, Any]] = {200: {"description": "The picture.", "content": {"image/*": {}}}}


@router.get(
    "/spells/{slug}/og/image", summary="The picture beside links", responses=IMAGE, response_class=Response
)
async def get_card(slug: Slug, studio: TheStudio) -> Response:
    """1200 × 630 pixels, made from an output that the spell's owner shows."""
    offer = await studio.workshop.offering.find(slug)
    previews = shown_previews(offer)
    named = [slug, offer.title, offer.description, *(digest_of(ref) for ref in previews[:1])]
    card = await _drawn(studio, content_hash(named), offer)
    headers = {"cache-control": FOR_AN_HOUR, "cross-origin-resource-policy": "cross-origin"}
    return Response(card, media_type=CARD_MIME, headers=headers)


_cards: dict[str, bytes] = {}  # drawn ones by what they show
_drawing = asyncio.Semaphore(2)


async def _drawn(studio: Studio, key: str, offer: Offer) -> bytes:
    if key not in _cards:
        async with _drawing:
            picture = await _picture(studio, offer)
            title, caption = offer.title, offer.description
            drawn = await studio.workshop.share_cards.draw(picture, title=title, caption=caption)
        if len(_cards) >= MOST_CARDS:
            _cards.pop(next(iter(_cards)))
        _cards[key] = drawn
    return _cards[key]


async def _picture(studio: Studio, offer: Offer) -> FilePath | None:
    """A file with the first preview image; None when there is none, or it is not stored any more."""
    for ref in shown_previews(offer):
        try:
            return await _small(studio, ref)
        except CauldronError:
            continue
    return None


async def _small(studio: Studio, ref: MediaRef) -> FilePath:
    return await studio.workshop.thumbnails.path(digest_of(ref), mime=str(ref["mime"]), edge=PREVIEW_EDGE_PX)


@router.get(
    "/spells/{slug}/previews/{digest}",
    summary="A picture that a spell made",
    responses=IMAGE,
    response_class=Response,
)
async def get_preview(
    slug: Slug,
    digest: Annotated[str, Path(description="SHA-256 of the whole picture.", max_length=64)],
    studio: TheStudio,
) -> Response:
    """A WebP of at most 1024 pixels a side of one of its preview images; nothing else is there."""
    offer = await studio.workshop.offering.find(slug)
    ref = next((each for each in shown_previews(offer) if digest_of(each) == digest), None)
    if ref is None:
        raise NotFound(f"there is no picture {digest!r:.80}")
    content = await asyncio.to_thread((await _small(studio, ref)).read_bytes)
    return Response(content, media_type="image/webp", headers={"cache-control": FOR_GOOD})


@router.get(
    "/static/{name}",
    summary="A static file",
    responses={200: {"content": {"*/*": {}}}},
    response_class=Response,
)
async def get_static(name: Annotated[str, Path(max_length=100)]) -> Response:
    """Under a name that changes with its content: browsers keep it for good."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound(f"there is no file {name!r:.80}")
    return Response(asset.content, media_type=asset.media_type, headers={"cache-control": FOR_GOOD})

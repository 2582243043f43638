"""Templates filled with plain values: the start page, the spell page, its version for crawlers, errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from cauldron.web.assets import address_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the studio is shown. ``origin`` is ``https://host``, or empty when it cannot be trusted."""

    origin: str = ""
    root: str = ""  # path of the site below which the studio lies

    def path(self, path: str) -> str:
        """A path as pages link to it."""
        return f"{self.root}{path}"

    def address(self, path: str) -> str:
        """The same for those who read it elsewhere."""
        return f"{self.origin}{self.root}{path}"

    def asset(self, file: str) -> str:
        """The path of a static file."""
        return self.path(address_of(file))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whether whoever looks at a page may cast, what its requests must carry, and whether we know them."""

    may_cast: bool = False
    csrf: str = ""
    is_known: bool = False  # signed in, or at this machine while it has no owner
    is_guest: bool = False
    is_local: bool = False  # at this machine while the studio has no owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a page is not shown: in words, and the ``code`` and request that support asks for."""

    status: int
    heading: str
    lead: str
    why: Sequence[str] = ()
    may_be_over: bool = False  # when the page is opened again
    code: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Something that a request says in its path, query or headers (``place``)."""

    name: str
    place: str
    is_needed: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An example of a body: of what is sent (no ``status``) or answered."""

    status: str
    media: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A route as the page of the API shows it; ``text`` is pieces, and whether each is code."""

    method: str
    path: str
    summary: str
    text: Sequence[tuple[bool, str]]
    is_deprecated: bool
    given: Sequence[Given]
    body: Sample | None
    answers: Sequence[Sample]


def start_page(site: Site, *, spells: Sequence[Mapping[str, Any]], version: str, visitor: Visitor) -> str:
    """What the studio is, its public spells, and where its API is described."""
    return _filled("start.html.j2", site=site, spells=spells, version=version, visitor=visitor)


def spell_page(
    site: Site, *, meta: Mapping[str, Any], visitor: Visitor, notice: str = "", guests: bool = False
) -> str:
    """The page of a spell; ``meta`` is the document of ``GET /api/v1/spells/:slug/meta``."""
    here = f"/spells/{meta['slug']}"
    return _filled(
        "spell.html.j2", site=site, meta=meta, visitor=visitor, notice=notice, guests=guests, here=here
    )


def sign_in_page(site: Site, *, mode: str, after: str, visitor: Visitor, name: str = "") -> str:
    """Signing in (``mode`` sign-in), the first owner (set-up, locked), or who is signed in (known).

    ``after`` is the path below the site's root that follows.
    """
    return _filled("sign-in.html.j2", site=site, mode=mode, after=after, visitor=visitor, name=name)


def points_page(site: Site, *, page: Mapping[str, Any] | None, visitor: Visitor) -> str:
    """An account's points; without ``page`` whoever looks is asked to sign in."""
    return _filled("points.html.j2", site=site, page=page, visitor=visitor, here="/points")


def crawler_page(site: Site, *, meta: Mapping[str, Any]) -> str:
    """The same in words and a picture, for those who run no scripts."""
    return _filled("og.html.j2", site=site, meta=meta, visitor=None)


def missing_page(site: Site, *, visitor: Visitor, gone: str = "") -> str:
    """What is answered when there is no such page; ``gone`` says what was there."""
    return _filled("missing.html.j2", site=site, visitor=visitor, gone=gone)


def api_page(site: Site, *, groups: Mapping[str, Sequence[Entry]], visitor: Visitor) -> str:
    """Every route by its group, with what it takes and answers."""
    return _filled("api.html.j2", site=site, groups=groups, visitor=visitor, here="/api")


def failure_page(site: Site, *, failure: Failure, visitor: Visitor) -> str:
    """What went wrong, what to do, and the code for support."""
    return _filled("failure.html.j2", site=site, failure=failure, visitor=visitor)


def _filled(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("cauldron.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

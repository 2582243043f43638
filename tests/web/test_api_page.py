"""The page of the API: every route of the document with its example, readable in a browser."""

import re

import pytest

from cauldron.api.openapi import operations
from tests.web.conftest import faults
from tests.web.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        yield opened


def test_the_page_of_the_api_shows_every_route_with_what_it_takes(sqlite_place, run):
    page = run(sqlite_place.nobody.get("/api"))
    assert page.status_code == 200 and "script-src 'self'" in page.headers["content-security-policy"]
    shown = re.findall(r'data-method="([A-Z]+)">[A-Z]+</code> <code class="path">([^<]+)</code>', page.text)
    document = run(sqlite_place.nobody.get("/api/v1/openapi.json")).json()
    assert shown and sorted(shown) == sorted((m.upper(), path) for path, m, _ in operations(document))
    assert "&#34;invoiceId&#34;" in page.text and "<code>Idempotency-Key</code>" in page.text
    assert 'href="/api"' in run(sqlite_place.nobody.get("/")).text
    assert not re.search(r"<script|<style| on\w+=| style=", page.text)


@pytest.mark.parametrize(("size", "scheme"), [("narrow", "dark"), ("wide", "light")])
def test_it_opens_by_keyboard_fits_the_window_and_axe_finds_nothing(stage, visit, size, scheme):
    page = visit(f"{stage.address}/api", size=size, scheme=scheme)
    route = page.locator("details", has_text="Quote one cast of a spell").first
    route.locator("summary").focus()
    page.keyboard.press("Enter")
    assert route.locator("pre").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert faults(page) == []

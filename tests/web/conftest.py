"""A real browser, and pages opened in it: whatever it complains of fails the test."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

from tests.api.conftest import place, sqlite_place
from tests.web.stage import CHROMIUM

__all__ = ["place", "sqlite_place"]  # fixtures of the API's own tests

expect.set_options(timeout=30_000)  # for what a loaded machine does in a moment
SIZES = {"narrow": {"width": 360, "height": 740}, "wide": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM, "install chromium: scripts/system-packages.sh"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open a page, in a window of its own; ``visit.complaints`` is what the browser has to say."""
    pages, complaints = [], []

    def opened(address: str, *, size: str = "wide", scheme: str = "light") -> Page:
        page = browser.new_page(viewport=SIZES[size], color_scheme=scheme, accept_downloads=True)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda failure: complaints.append(str(failure)))
        page.on("filechooser", lambda chooser: None)  # from the first moment on none opens unheard
        page.goto(address)
        pages.append(page)
        return page

    opened.complaints = complaints
    yield opened
    for page in pages:
        page.close()
    assert not complaints


def faults(page: Page) -> list[str]:
    """What axe finds wrong."""
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in Axe().run(page).response["violations"]]

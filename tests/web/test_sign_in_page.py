"""The page where people sign in, over HTTP and in a browser: set-up, wrong words, invitations, guests."""

import re

import pytest
from playwright.sync_api import expect

from cauldron.api.routes.sign_in_page import own_path
from tests.api.identity_house import OUTSIDE, house
from tests.services.identity_place import PASSWORD
from tests.web.conftest import SIZES, faults
from tests.web.stage import LANTERN, Stage, publish

LOOKS = [
    pytest.param(size, scheme, marks=() if (size == "narrow") is (scheme == "dark") else pytest.mark.slow)
    for size in SIZES
    for scheme in ("light", "dark")
]
ELSEWHERE = [
    "//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "evil.example",
    "/\t/evil.example", "/ /x", "\\/evil", "/%0d%0aset-cookie:x\r\n", "", "/" + "a" * 500, "///evil.example",
    '/"><script>', "/./\\evil", "/a\\b",
]  # fmt: skip


@pytest.mark.parametrize("text", ELSEWHERE)
def test_what_follows_is_a_path_of_this_site(text):
    assert own_path(text) == "/"


@pytest.mark.parametrize("text", ["/", "/spells/postcard", "/spells/a?from=preview#run=0", "/a%20b/c"])
def test_paths_of_this_site_are_followed(text):
    assert own_path(text) == text


def mode(page):
    return re.search(r'data-mode="([a-z-]+)"', page.text)[1]


def test_the_page_says_what_there_is_to_do(home, run):
    opened = house(home)
    place = run(opened.__aenter__())

    def ask(client):
        return run(client.get("/sign-in", params={"next": "/spells/x"}))

    assert mode(ask(place.browser())) == "set-up"
    outside = place.browser(base=OUTSIDE, client="192.0.2.1")
    assert mode(ask(outside)) == "locked" and 'id="form"' not in ask(outside).text
    run(place.owner())
    assert mode(ask(place.browser())) == "sign-in"
    page = ask(run(place.signed_in("ann", base=OUTSIDE, client="192.0.2.1")))
    assert mode(page) == "known" and "<strong>ann</strong>" in page.text
    assert 'href="/spells/x"' in page.text
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "form-action 'none'" in policy
    assert not re.search(r"<script(?![^>]* src=)|<style| on\w+=| style=", page.text)
    guest = place.browser()
    assert run(guest.post("/api/v1/session/guest")).status_code == 201
    assert mode(ask(guest)) == "sign-in" and "You are a guest" in ask(guest).text
    hostile = run(guest.get("/sign-in", params={"next": '"><script>alert(1)</script>'}))
    assert "alert(1)" not in hostile.text
    run(opened.__aexit__(None, None, None))


def test_signing_in_over_tls_gives_a_cookie_of_this_host_alone(home, run):
    opened = house(home)
    place = run(opened.__aenter__())
    run(place.owner())
    asking = place.browser(base=OUTSIDE, client="192.0.2.1")
    answer = run(asking.post("/api/v1/session", json={"name": "ann", "password": PASSWORD}))
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-cauldron=cs_")
    for word in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
        assert word in cookie
    assert "Domain" not in cookie
    run(opened.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def unowned(tmp_path_factory):
    """Nobody owns it until the last test that looks at it."""
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        opened.run(publish(opened.studio, LANTERN))
        yield opened


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """It is ann's."""
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        opened.run(publish(opened.studio, LANTERN))
        opened.run(opened.studio.identity.users.set_up("ann", PASSWORD))
        yield opened


def sign_in(page, password=PASSWORD):
    page.get_by_label("Name or e-mail address").fill("ann")
    page.locator("#password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_axe_finds_nothing_before_there_is_an_owner(unowned, visit, size, scheme):
    page = visit(f"{unowned.address}/sign-in", size=size, scheme=scheme)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up this studio")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_first_owner_sets_the_studio_up_by_keyboard_alone(unowned, visit):
    page = visit(f"{unowned.address}/sign-in?next=/spells/lantern")
    expect(page.get_by_label("Name or e-mail address")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is needed.")).to_have_count(2)
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.locator("#password-wrong")).to_have_text("This must be at least 12 characters.")
    expect(page.locator("#password")).to_be_focused()
    visit.complaints.clear()  # the browser notes the 422
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/spells/lantern")
    expect(page.locator("#price")).to_have_text("free")
    expect(page.get_by_role("link", name="Account")).to_be_visible()


def test_wrong_words_are_told_once_and_never_which(stage, visit):
    page = visit(f"{stage.address}/sign-in?next=//evil.example")
    sign_in(page, "wrong horse battery")
    expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong.")
    expect(page.get_by_role("alert")).to_be_focused()
    assert faults(page) == []
    visit.complaints.clear()  # the browser notes the 401
    page.get_by_role("button", name="Show").click()
    assert page.locator("#password").get_attribute("type") == "text"
    sign_in(page)
    page.wait_for_url(f"{stage.address}/")


def test_who_signs_out_is_asked_to_sign_in(stage, visit):
    page = visit(f"{stage.address}/sign-in")
    sign_in(page)
    page.wait_for_url(f"{stage.address}/")
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_text("You are signed in as ann.")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_an_invitation_is_accepted_here(stage, visit):
    async def invited():
        studio = stage.studio
        ann = await studio.identity.users.named("ann")
        who = await studio.identity.authenticator.session((await studio.identity.sessions.start(ann)).text)
        _, token = await studio.identity.invitations.create(
            who, role="creator", own_account=False, label="", expires_in_ms=60_000
        )
        return token

    page = visit(f"{stage.address}/sign-in#invitation={stage.run(invited())}")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are invited")
    assert faults(page) == []
    page.get_by_label("Name or e-mail address").fill("bo")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Join this studio").click()
    page.wait_for_url(f"{stage.address}/")
    assert stage.run(stage.studio.identity.users.named("bo"))["role"] == "creator"


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_axe_finds_nothing_for_who_is_not_signed_in(stage, visit, size, scheme):
    for path in ("/sign-in", "/spells/lantern"):
        page = visit(stage.address + path, size=size, scheme=scheme)
        expect(page.locator("[aria-busy]")).to_have_count(0)
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_visitor_goes_on_as_a_guest_and_comes_back_as_one(stage, visit):
    page = visit(f"{stage.address}/spells/lantern")
    expect(page.locator("#cast")).to_be_disabled()
    page.get_by_label("Words").fill("By the sea")
    page.get_by_role("button", name="Go on as a guest").click()
    expect(page.locator("#price")).to_have_text("free")
    expect(page.locator("#choice")).to_be_hidden()
    page.get_by_role("button", name="Cast, free of charge").click()
    expect(page.locator("#state")).to_have_text("Done", timeout=40_000)
    page.reload()
    expect(page.locator("#state")).to_have_text("Done", timeout=40_000)
    expect(page.locator("#gallery img")).to_be_visible()
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("You are a guest.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Keep what I made here")).to_be_checked()
    assert faults(page) == []
    sign_in(page)
    page.wait_for_url("**/spells/lantern")
    [kept] = page.request.get(f"{stage.address}/api/v1/casts").json()["items"]
    assert kept["status"] == "completed"

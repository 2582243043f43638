"""The page of points in a real browser: empty, full, paged, owed, light and dark, small, by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.hostile_rail import HostileRail
from tests.web.conftest import SIZES, faults
from tests.web.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A studio whose account has a history, an open hold, a debt and a rail to buy at."""
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        studio = opened.studio
        opened.rail = studio.workshop.rails["fake"] = HostileRail()
        opened.run(history(studio, opened.rail))
        yield opened


async def history(studio, rail):
    ledger, payments = studio.workshop.ledger, studio.workshop.payments
    await ledger.set_rate(100_000, actor="t", rate_id="dime")
    for number in range(60):
        await ledger.grant("local", 1_250, actor="op", grant_id=f"g{number}", note="a welcome gift " * 3)
    bought = await payments.checkout("local", 500_000, actor="t", return_url="https://x.test/points")
    rail.pays(bought["paymentId"])
    await payments.settle(bought["paymentId"])
    about = {"slug": "a-spell-with-quite-a-long-name-that-goes-on", "version": "1"}
    opened = await ledger.open(
        "run:1", account="local", cap_milli=560_000, terms=await ledger.terms(), actor="t", about=about
    )
    await ledger.open(
        "run:2", account="local", cap_milli=12_345, terms=await ledger.terms(), actor="t", run_id="c" * 32
    )
    assert opened.charge
    rail.now(bought["paymentId"], reversed_minor=5_000)
    await payments.settle(bought["paymentId"])


def test_an_empty_account_says_what_to_do_next(stage, visit):
    page = visit(f"{stage.address}/points")
    expect(page.get_by_role("heading", level=1)).to_have_text("Points")
    expect(page.get_by_text("No points came or went yet.")).to_be_visible()
    expect(page.get_by_text("cauldron points grant local 25")).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(full, visit, size, scheme):
    for path in ("/points", "/points?of=held"):
        page = visit(full.address + path, size=size, scheme=scheme)
        expect(page.get_by_text("Owed")).to_be_visible()
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_statement_is_paged_by_keyboard_and_names_its_runs(full, visit):
    page = visit(f"{full.address}/points")
    rows = page.locator("table.rows").last.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("Payment taken back")
    link = page.get_by_role("link", name="a-spell-with-quite").last
    assert "#run=" in link.get_attribute("href")
    older = page.get_by_role("link", name="Older")
    older.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**cursor=**")
    expect(page.locator("table.rows").last.locator("tbody tr").first).to_contain_text("Granted")
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(rows).to_have_count(50)


def test_buying_goes_to_the_checkout_and_says_what_is_wrong(full, visit):
    page = visit(f"{full.address}/points")
    amount = page.get_by_label("Buy points")
    amount.fill("1")
    page.get_by_role("button", name="Go to the checkout").click()
    expect(page.locator("#problem")).to_contain_text("0.5")
    expect(page.locator("#problem")).to_be_focused()
    visit.complaints.clear()  # the browser tells of the refusal, too
    page.route("https://pay.test/**", lambda route: route.fulfill(body="pay here"))
    amount.fill("250")
    page.keyboard.press("Enter")
    page.wait_for_url("https://pay.test/**")
    assert full.rail.opened[-1].money_minor == 2_500

"""A visit that costs points, in a real browser: pay, watch, lose the network, come back, take it home."""

import asyncio
import base64
import json

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import faults
from tests.web.easel import set_up
from tests.web.stage import STAMP, VISTA, Stage, show

COST = 12  # points: four steps of three


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        opened.easel = opened.run(set_up(opened.studio))
        opened.run(show(opened.studio, "etching", VISTA))
        opened.account = opened.studio.owner
        opened.run(opened.studio.workshop.ledger.grant(opened.account, 10**6, actor="t"))
        yield opened


@pytest.fixture
def easel(stage):
    """Nothing is held or broken before and after."""
    stage.easel.clear()
    yield stage.easel
    stage.easel.clear()


def points_of(stage: Stage) -> dict:
    return stage.run(stage.studio.workshop.ledger.balance(stage.account))


def carry(page: Page, how: str, file=VISTA) -> None:
    """A picture comes by drop or from the clipboard."""
    carried = page.evaluate_handle(
        """(encoded) => {
          const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], "carried.png", { type: "image/png" }));
          return carried;
        }""",
        base64.b64encode(file.read_bytes()).decode(),
    )
    if how == "drop":
        page.locator(".drop").dispatch_event("dragover", {"dataTransfer": carried})
        page.locator(".drop").dispatch_event("drop", {"dataTransfer": carried})
    else:
        page.evaluate(
            """(carried) => document.dispatchEvent(
              new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true }))""",
            carried,
        )
    expect(page.locator(".drop")).to_contain_text("Ready: ")


def fill(page: Page, *, how: str = "drop") -> None:
    """What an etching needs."""
    expect(page.locator("#cast")).to_be_enabled()
    page.get_by_label("Title").fill("Harbour at dusk")
    page.get_by_label("Edition").fill("3")
    carry(page, how)


def is_over(page: Page, said: str = "Done") -> None:
    expect(page.locator("#state")).to_have_text(said)


def test_a_visitor_pays_watches_reloads_and_takes_the_result_home(stage, easel, visit, tmp_path):
    easel.held = {"ink"}
    before = points_of(stage)["availablePts"]
    page = visit(f"{stage.address}/spells/etching")
    expect(page.locator("#price")).to_contain_text("12")
    expect(page.locator("#price")).to_contain_text("up to ")
    fill(page)
    page.locator("summary").click()
    page.get_by_label("Mood").select_option("dawn")
    page.get_by_label("Depth, slider").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator("#in-depth").input_value() == "0.01"
    page.locator("#in-seed").fill("")
    page.get_by_role("button", name="Roll another seed").click()
    seed = int(page.locator("#in-seed").input_value())
    assert 0 <= seed <= 9999
    sent = []
    page.on("request", lambda asked: sent.append(asked) if asked.url.endswith("/spells/cast") else None)
    page.get_by_role("button", name="Cast for up to 12").click()
    steps = page.locator("#steps li")
    expect(page.locator("#steps li[data-state=success]")).to_have_count(2)
    expect(steps.nth(1)).to_have_attribute("data-state", "running")
    expect(page.locator("#said")).to_contain_text("2 of 4 steps done. Now: The ink.")
    expect(page.locator("#cast")).to_be_disabled()
    for shown in page.locator("#steps img").all():
        expect(shown).not_to_have_js_property("naturalWidth", 0)
    assert points_of(stage)["heldPts"] >= COST
    assert faults(page) == []
    page.reload()  # in the middle
    expect(page.locator("#steps li[data-state=success]")).to_have_count(2)
    expect(page.locator("#steps img")).to_have_count(2)
    assert page.get_by_label("Title").input_value() == "Harbour at dusk"
    easel.held = set()
    is_over(page)
    expect(page.locator("#said")).to_have_text("Finished for 12 pts. The results are below.")
    expect(page.locator("#gallery img")).to_have_js_property("naturalWidth", 1200)
    context = json.loads(sent[0].post_data)["context"]
    assert {key: value for key, value in context.items() if key != "picture"} == {
        "title": "Harbour at dusk", "mood": "dawn", "depth": 0.01, "edition": 3, "seed": seed,
    }  # fmt: skip
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    assert kept.read_bytes().startswith(b"\x89PNG")
    is_charged(stage, before - COST)


def is_charged(stage: Stage, left: float) -> None:
    """What is left, once the hold is closed."""

    async def settled():
        ledger = stage.studio.workshop.ledger
        while (found := await ledger.balance(stage.account))["heldPts"]:
            await asyncio.sleep(0.02)
        return found["availablePts"]

    assert stage.run(settled()) == left


def test_a_result_is_shared_by_its_address_where_nothing_else_takes_it(stage, easel, visit):
    page = visit(f"{stage.address}/spells/etching")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fill(page, how="paste")
    page.locator("#cast").click()
    is_over(page)
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("The address of this spell is copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{stage.address}/spells/etching"


def test_a_paying_visit_needs_nothing_but_a_keyboard(stage, easel, visit):
    """From the top of the page by tab alone; the file is what the chooser gives."""
    page = visit(f"{stage.address}/spells/etching")
    expect(page.locator("#cast")).to_be_enabled()
    focused = "document.activeElement.id || document.activeElement.textContent.trim()"

    def tab_to(wanted: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == wanted:
                return
        raise AssertionError(f"tab never comes to {wanted}")

    tab_to("in-title")
    page.keyboard.type("By hand")
    tab_to("in-picture")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(STAMP)
    expect(page.locator(".drop")).to_contain_text("Ready: ")
    tab_to("in-edition")
    page.keyboard.type("1")
    tab_to("cast")
    page.keyboard.press("Enter")
    is_over(page)
    assert page.evaluate(focused) == "run"  # where the news are
    tab_to("Download")
    with page.expect_download():
        page.keyboard.press("Enter")


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("narrow", "light"),
        ("wide", "dark"),
        pytest.param("narrow", "dark", marks=pytest.mark.slow),
        pytest.param("wide", "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_in_any_state(stage, easel, visit, size, scheme):
    """Refused, running, failed and done; and nothing is wider than the window."""
    page = visit(f"{stage.address}/spells/etching", size=size, scheme=scheme)

    def is_fine(state: str) -> None:
        assert faults(page) == [], state
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state

    expect(page.locator("#cast")).to_be_enabled()
    page.locator("#cast").click()
    is_fine("refused")
    fill(page)
    easel.held = {"press"}
    page.locator("#cast").click()
    expect(page.locator("#steps li[data-state=success]")).to_have_count(3)
    is_fine("running")
    easel.held = set()
    is_over(page)
    expect(page.locator("#gallery img")).not_to_have_js_property("naturalWidth", 0)
    is_fine("done")
    easel.broken = {"wash": "the tray is dry"}
    page.locator("#cast").click()
    is_over(page, "Failed")
    is_fine("failed")


def test_a_step_that_fails_is_named_and_costs_nothing(stage, easel, visit):
    easel.broken = {"wash": "the tray is dry"}
    before = points_of(stage)["availablePts"]
    page = visit(f"{stage.address}/spells/etching")
    fill(page)
    page.locator("#cast").click()
    is_over(page, "Failed")
    said = "“The wash” did not work: the tray is dry. Nothing was charged."
    expect(page.locator("#said")).to_have_text(said)
    expect(page.locator("#steps li").nth(2)).to_have_attribute("data-state", "failed")
    is_charged(stage, before)
    page.reload()
    expect(page.locator("#said")).to_have_text(said)
    easel.clear()
    expect(page.locator("#cast")).to_be_enabled()
    page.locator("#cast").click()  # once more, as it is filled in
    is_over(page)


def test_a_run_is_cancelled_from_the_page_and_costs_nothing(stage, easel, visit):
    easel.held = {"ink"}
    before = points_of(stage)["availablePts"]
    page = visit(f"{stage.address}/spells/etching")
    fill(page)
    page.locator("#cast").click()
    expect(page.locator("#steps li[data-state=success]")).to_have_count(2)
    page.get_by_role("button", name="Cancel this run").click()
    is_over(page, "Cancelled")
    expect(page.locator("#said")).to_have_text("Cancelled. Nothing was charged.")
    is_charged(stage, before)


def test_too_few_points_are_told_with_what_is_missing(stage, easel, visit):
    there = points_of(stage)["availablePts"]
    opened = stage.run(hold(stage, there - 10))
    page = visit(f"{stage.address}/spells/etching")
    fill(page)
    page.locator("#cast").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("You need 2.")
    expect(alert).to_contain_text("pts more. Nothing was charged: add points, then cast again.")
    expect(alert.get_by_role("link", name="Add points")).to_have_attribute("href", "/points")
    assert points_of(stage)["availablePts"] == pytest.approx(10)
    stage.run(stage.studio.workshop.ledger.release(opened))
    page.locator("#cast").click()
    is_over(page)
    visit.complaints.clear()  # the browser notes the 402


async def hold(stage: Stage, points: float) -> str:
    """All but a little is set aside."""
    ledger = stage.studio.workshop.ledger
    return await ledger.hold(stage.studio.new_id(), account=stage.account, cap_milli=round(points * 1000))


def test_a_network_that_is_lost_is_told_and_a_run_goes_on_when_it_is_back(stage, easel, visit):
    easel.held = {"ink"}
    page = visit(f"{stage.address}/spells/etching")
    fill(page)
    page.context.set_offline(True)
    page.locator("#cast").click()
    expect(page.get_by_role("alert")).to_contain_text("The studio does not answer. Look at your connection")
    page.context.set_offline(False)
    page.locator("#cast").click()
    expect(page.locator("#steps li[data-state=success]")).to_have_count(2)
    page.context.set_offline(True)
    stage.run(cut(stage))
    expect(page.locator("#said")).to_have_text("Connection lost; trying again.")
    easel.held = set()
    page.context.set_offline(False)
    is_over(page)
    expect(page.locator("#steps li[data-state=success]")).to_have_count(4)
    visit.complaints.clear()  # the browser notes what it could not reach


async def cut(stage: Stage) -> None:
    """Every open stream ends."""
    for reader in list(stage.studio.feeds.readers):
        reader.drop("cut")

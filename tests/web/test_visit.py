"""A visit of a spell's page in a real browser: fill, pay, watch, come back in the middle, take it home."""

import gzip
from importlib import resources

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import SIZES, faults
from tests.web.stage import FRAME, LANTERN, ROOT, STAMP, VISTA, Stage, postcard, publish, show

BUDGET_BYTES = 8_000  # of our own script, as it is sent


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("home")) as opened:
        opened.run(publish(opened.studio, postcard()))
        opened.run(publish(opened.studio, LANTERN))
        opened.run(show(opened.studio, "postcard", ROOT / "docs/images/postcards.png"))
        yield opened


def fill(page: Page) -> None:
    """What a postcard needs."""
    page.get_by_label("Place").fill("Port Ember")
    for name, file in (("vista", VISTA), ("stamp", STAMP), ("frame", FRAME)):
        page.locator(f"#in-{name}").set_input_files(file)
    for name in ("vista", "stamp", "frame"):
        expect(page.locator(f".drop:has(#in-{name})")).to_contain_text("Ready")


def test_a_visitor_fills_pays_watches_reloads_and_takes_the_result_home(stage, visit, tmp_path):
    page = visit(f"{stage.address}/spells/postcard")
    expect(page.get_by_role("heading", level=1)).to_have_text("Postcard")
    expect(page.locator("#price")).to_have_text("free")
    fill(page)
    page.get_by_role("button", name="Cast, free of charge").click()
    page.wait_for_url("**#run=*")
    page.reload()  # in the middle
    expect(page.locator("#state")).to_have_text("Done", timeout=40_000)
    expect(page.locator("#steps li[data-state=success]")).to_have_count(8)
    result = page.locator("#gallery img")
    expect(result).to_be_visible()
    expect(result).to_have_js_property("naturalWidth", 1200)
    for shown in page.locator("#steps img").all():
        expect(shown).not_to_have_js_property("naturalWidth", 0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    assert kept.suffix == ".png" and kept.read_bytes().startswith(b"\x89PNG")
    assert page.get_by_label("Place").input_value() == "Port Ember"  # the form came back, too
    assert faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(stage, visit, size, scheme):
    for path in ("/", "/spells/postcard", "/spells/postcard/og"):
        page = visit(stage.address + path, size=size, scheme=scheme)
        expect(page.locator("[aria-busy]")).to_have_count(0)
        if page.locator("details").count():
            page.locator("summary").click()
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_what_is_missing_is_said_beside_the_field_and_nothing_is_sent(stage, visit):
    page = visit(f"{stage.address}/spells/lantern")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator("#cast")).to_be_enabled()
    page.locator("#cast").click()
    words = page.get_by_label("Words")
    expect(words).to_be_focused()
    assert words.get_attribute("aria-invalid") == "true"
    expect(page.get_by_text("This is needed.")).to_be_visible()
    assert not [url for url in asked if url.endswith("/cast")]


def test_a_keyboard_is_enough(stage, visit):
    page = visit(f"{stage.address}/spells/lantern")
    expect(page.locator("#cast")).to_be_enabled()
    page.get_by_label("Words").focus()
    page.keyboard.type("Good night")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Done", timeout=30_000)


def test_a_double_click_is_one_run(stage, visit):
    page = visit(f"{stage.address}/spells/lantern")
    expect(page.locator("#cast")).to_be_enabled()
    page.get_by_label("Words").fill("Twice")
    started = []
    page.on("response", lambda answer: started.append(answer) if answer.url.endswith("/cast") else None)
    page.locator("#cast").dblclick()
    expect(page.locator("#state")).to_have_text("Done", timeout=30_000)
    assert len(started) == 1


def test_a_run_that_is_not_there_is_told_in_words(stage, visit):
    page = visit(f"{stage.address}/spells/lantern#run={'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("cannot be followed here")
    visit.complaints.clear()  # the browser notes the 404


def test_a_title_with_markup_stays_text(stage, visit):
    hostile = LANTERN | {
        "name": "<script>alert(1)</script>",
        "slug": "hostile",
        "description": '"><img src=x>',
    }
    stage.run(publish(stage.studio, hostile))
    page = visit(f"{stage.address}/spells/hostile")
    expect(page.get_by_role("heading", level=1)).to_have_text("<script>alert(1)</script>")
    assert page.locator("img[src=x]").count() == 0


def test_the_script_keeps_to_its_budget():
    script = resources.files("cauldron.web").joinpath("static/spell-execute.js").read_bytes()
    assert len(gzip.compress(script, 9)) <= BUDGET_BYTES


def test_two_windows_cast_with_their_own_words(stage, visit):
    """They look at one open invoice; each pays with one of its own."""
    pages = [visit(f"{stage.address}/spells/lantern") for _ in range(2)]
    for page, words in zip(pages, ("Left", "Right"), strict=True):
        expect(page.locator("#cast")).to_be_enabled()
        page.get_by_label("Words").fill(words)
    for page in pages:
        page.locator("#cast").click()
    shown = []
    for page in pages:
        expect(page.locator("#state")).to_have_text("Done")
        shown.append(page.locator("#gallery img").get_attribute("src"))
    assert shown[0] != shown[1]


def test_a_picture_that_cannot_be_taken_is_told_beside_its_field(stage, visit, tmp_path):
    page = visit(f"{stage.address}/spells/postcard")
    expect(page.locator("#cast")).to_be_enabled()
    (tmp_path / "poem.png").write_text("a poem")
    field = page.locator(".field:has(#in-vista)")
    page.locator("#in-vista").set_input_files(tmp_path / "poem.png")
    expect(field.locator(".wrong")).to_have_text("This is no PNG, JPEG, WebP or GIF image.")
    assert page.locator("#in-vista").get_attribute("aria-invalid") == "true"
    visit.complaints.clear()  # the browser notes the 422
    with (tmp_path / "huge.png").open("wb") as huge:
        huge.truncate(70 * 2**20)
    page.locator("#in-vista").set_input_files(tmp_path / "huge.png")  # which is not even sent
    expect(field.locator(".wrong")).to_have_text("This has 70 MB; a picture may have 64.")
    page.locator("#in-vista").set_input_files(VISTA)
    expect(field).to_contain_text("Ready: ")
    expect(field.locator(".wrong")).to_be_hidden()


def test_titles_run_as_their_script_does_and_a_spell_without_pictures_takes_one_column(stage, visit):
    title = "مدينة الضوء القديمة"
    stage.run(publish(stage.studio, LANTERN | {"name": title, "slug": "city"}))
    page = visit(f"{stage.address}/spells/city")
    heading = page.get_by_role("heading", level=1)
    assert heading.evaluate("(node) => getComputedStyle(node).direction") == "rtl"
    about, work = page.locator(".about").bounding_box(), page.locator(".work").bounding_box()
    assert work["y"] >= about["y"] + about["height"]
    page = visit(f"{stage.address}/spells/postcard")
    assert page.locator(".work").bounding_box()["x"] > page.locator(".about").bounding_box()["x"] + 300

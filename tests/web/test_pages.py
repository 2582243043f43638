"""What the pages and the API say to whoever asks: meta, tags, headers, invoices, casts, streams."""

import asyncio
import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from cauldron.adapters.share_card import draw_card
from cauldron.domain.tool import Costing
from cauldron.services.tools import register_tools
from tests.web.stage import LANTERN, ROOT, publish, show

QUOTE = {"spellSlug": "lantern", "asset": "points"}


@pytest.fixture
def town(sqlite_place, run):
    run(publish(sqlite_place.studio, LANTERN))
    return sqlite_place


async def quoted(town, who="ann", **more):
    answer = await getattr(town, who).post("/api/v1/payments/invoice", json=QUOTE | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def cast(town, token, who="ann", slug="lantern", **context):
    body = {"slug": slug, "invoiceId": token, "context": {"words": "hi"} | context}
    return getattr(town, who).post("/api/v1/spells/cast", json=body)


def code(answer):
    return answer.status_code, answer.json().get("code")


def test_anybody_reads_what_a_public_spell_is(town, run):
    meta = run(town.nobody.get("/api/v1/spells/lantern/meta")).json()
    assert (meta["title"], meta["version"], meta["avgCostPtsCached"]) == ("Lantern card", 1, None)
    assert meta["inputsSchema"]["required"] == ["words"]
    assert meta["openGraph"]["url"].endswith("/spells/lantern") and meta["statsAsOf"]
    assert "owner" not in str(meta) and town.users["ann"]["account"] not in str(meta).replace("localhost", "")


def test_what_is_private_or_not_published_is_not_there(town, run):
    run(publish(town.studio, LANTERN | {"slug": "secret", "visibility": "private"}))
    book = replace(town.studio.spells)
    run(book.unpublish("lantern", now_ms=town.studio.clock()))
    for slug in ("secret", "lantern", "nothing", "UPPER", "x" * 64):
        assert code(run(town.nobody.get(f"/api/v1/spells/{slug}/meta"))) == (404, "not_found"), slug
        for path in (f"/spells/{slug}", f"/spells/{slug}/og", f"/spells/{slug}/og/image"):
            assert run(town.nobody.get(path)).status_code == 404, path


def test_a_page_has_its_tags_a_canonical_address_and_no_inline_script(town, run):
    for path in ("/spells/lantern", "/spells/lantern/og"):
        answer = run(town.nobody.get(path, headers={"host": "studio.example"}))
        page = answer.text
        for tag in ("og:title", "og:description", "og:url", "og:image", "og:image:alt"):
            assert f'property="{tag}"' in page
        assert '<link rel="canonical" href="http://studio.example/spells/lantern">' in page
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style| on\w+=| style=", page)
    assert "data-may" not in run(town.nobody.get("/spells/lantern")).text


def test_a_host_that_is_none_gets_into_no_page(town, run):
    page = run(town.nobody.get("/spells/lantern", headers={"host": 'x"><script>'})).text
    assert "><script>" not in page and 'href="/spells/lantern"' in page


def test_static_files_are_kept_for_good_and_named_by_content(town, run):
    page = run(town.nobody.get("/spells/lantern")).text
    for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        answer = run(town.nobody.get(name))
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert re.search(r"\.[0-9a-f]{12}\.(js|css|svg)$", name)
    assert run(town.nobody.get("/static/spell-execute.js")).status_code == 404


def test_the_start_page_links_public_spells_and_the_description_of_the_api(town, run):
    run(publish(town.studio, LANTERN | {"slug": "half", "name": "Half open", "visibility": "unlisted"}))
    page = run(town.nobody.get("/")).text
    assert '"/spells/lantern"' in page and "/api/v1/openapi.json" in page and "Half open" not in page


def test_the_picture_beside_links_shows_a_real_output(town, run):
    plain = run(town.nobody.get("/spells/lantern/og/image"))
    run(show(town.studio, "lantern", ROOT / "docs/images/postcards.png"))
    shown = run(town.nobody.get("/spells/lantern/og/image"))
    assert shown.headers["cross-origin-resource-policy"] == "cross-origin"
    for answer in (plain, shown):
        assert Image.open(io.BytesIO(answer.content)).size == (1200, 630)
    assert plain.content != shown.content
    [preview] = run(town.nobody.get("/api/v1/spells/lantern/meta")).json()["previews"]
    assert run(town.nobody.get(preview["path"])).headers["content-type"] == "image/webp"
    assert run(town.nobody.get("/spells/lantern/previews/" + "0" * 64)).status_code == 404


def test_its_owner_chooses_the_pictures_from_its_outputs_and_no_others(town, run):
    async def story():
        async with town.studio.running():
            run_id = (await cast(town, (await quoted(town))["invoiceId"])).json()["runId"]
            done = await town.until("ann", f"/api/v1/casts/{run_id}", lambda c: c["status"] == "completed")
            other = await town.ann.post("/api/v1/casts", json={"tool": "text.card", "inputs": {"text": "x"}})
            other_id = other.json()["runId"]
            await town.until("ann", f"/api/v1/casts/{other_id}", lambda c: c["status"] == "completed")
        path, output = "/api/v1/spells/lantern/previews", done["generationIds"][0]
        assert code(await town.bob.put(path, json={"outputs": [output]}))[0] == 404
        assert code(await town.ann.put(path, json={"outputs": [f"{other_id}.1.0"]}))[0] == 404
        chosen = await town.ann.put(path, json={"outputs": [output]})
        assert chosen.status_code == 200, chosen.text
        meta = (await town.nobody.get("/api/v1/spells/lantern/meta")).json()
        assert (await town.nobody.get(meta["previews"][0]["path"])).status_code == 200
        assert run_id not in str(meta)

    run(story())


def test_a_card_of_a_damaged_picture_has_the_words_alone(write):
    broken = write("broken.png", b"\x89PNG nonsense")
    assert draw_card(broken, title="A", caption="b") == draw_card(None, title="A", caption="b")
    assert draw_card(None, title="word " * 200, caption="x" * 5000)


def test_a_card_leaves_out_what_its_letters_cannot_say():
    """Arabic is no row of empty boxes; one sign without a shape takes nothing else away."""
    assert draw_card(None, title="مدينة الضوء", caption="وصف") == draw_card(
        None, title="Cauldron", caption=""
    )
    assert draw_card(None, title="Lantern \U0001f3ee", caption="") == draw_card(
        None, title="Lantern", caption=""
    )
    plain = draw_card(None, title="Cauldron", caption="")
    assert draw_card(None, title="Größe, naïve", caption="") != plain


def test_an_invoice_starts_one_run_however_often_it_is_shown(town, run):
    async def story():
        invoice = await quoted(town)
        assert (invoice["costPts"], invoice["capPts"], invoice["asset"]) == (0, 0, "points")
        assert (await quoted(town))["expiry"] == invoice["expiry"]
        answers = await asyncio.gather(*(cast(town, invoice["invoiceId"]) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.text for answer in answers}) == 1
        casts = (await town.ann.get("/api/v1/casts")).json()["items"]
        assert [each["castId"] for each in casts] == [answers[0].json()["runId"]]

    run(story())


def test_bad_tokens_assets_and_inputs_start_nothing(town, run):
    async def story():
        token = (await quoted(town))["invoiceId"]
        head, body, mac = token.split(".")
        for forged in ("x", f"{head}.{body}.", f"{head}.{body}.{mac[::-1]}", token + "a" * 4000):
            assert (await cast(town, forged)).status_code in (403, 422)
        assert code(await cast(town, token, who="bob")) == (403, "invoice_rejected")
        assert code(await cast(town, token, slug="other")) == (403, "invoice_rejected")
        answer = await cast(town, token, words="x" * 41)
        assert answer.status_code == 422 and answer.json()["problems"][0]["path"] == "lantern.words"
        assert (await cast(town, token, more=1)).status_code == 422
        unknown = await town.ann.post("/api/v1/payments/invoice", json=QUOTE | {"asset": "gold"})
        assert unknown.status_code == 422
        assert (
            code(await town.ann.post("/api/v1/payments/invoice", json=QUOTE | {"spellSlug": "no"}))[0] == 404
        )
        assert (await town.ann.get("/api/v1/casts")).json()["items"] == []

    run(story())


def test_a_spell_that_is_retired_after_the_quote_is_not_cast(town, run):
    async def story():
        token = (await quoted(town))["invoiceId"]
        await town.studio.spells.unpublish("lantern", now_ms=town.studio.clock())
        assert code(await cast(town, token)) == (409, "spell_retired")

    run(story())


def test_a_newer_version_does_not_change_what_was_quoted(town, run):
    async def story():
        invoice = await quoted(town)
        await publish(town.studio, LANTERN | {"description": "Another one."})
        run_id = (await cast(town, invoice["invoiceId"])).json()["runId"]
        assert (await town.ann.get(f"/api/v1/casts/{run_id}")).json()["version"] == "1"
        assert (await quoted(town))["spellVersion"] == "2"

    run(story())


def test_the_older_names_still_answer_and_say_when_they_go(town, run):
    async def story():
        old = "/api/v1/payments/"
        asked = await town.ann.post(f"{old}prepare-spell", json=QUOTE)
        body = {"slug": "lantern", "invoiceId": asked.json()["invoiceId"], "context": {"words": "hi"}}
        told = await town.ann.post(f"{old}confirm", json=body)
        assert (asked.status_code, told.status_code) == (200, 202), told.text
        for answer, new in ((asked, "payments/invoice"), (told, "spells/cast")):
            assert {"deprecation", "sunset"} <= set(answer.headers)
            assert answer.headers["link"] == f'</api/v1/{new}>; rel="successor-version"'
        page = (await town.nobody.get("/spells/lantern", params={"from": "preview"})).text
        assert 'class="notice"' in page
        assert 'class="notice"' not in (await town.nobody.get("/spells/lantern")).text

    run(story())


async def priced(town):
    """The lantern with a tool that costs 5 cents a run."""
    free = town.studio.tools.resolve("text.card")
    tool = replace(free, id="paid.card", costing=Costing(amount_micro_usd=50_000))
    studio = town.studio
    await register_tools(
        studio.store, [tool], owner=studio.owner, actor="t", environment="live", now_ms=studio.clock()
    )
    step = LANTERN["steps"][0] | {"tool": "paid.card"}
    await publish(studio, LANTERN | {"slug": "paid", "steps": [step]})


def test_too_few_points_are_402_with_what_is_missing_and_then_the_same_invoice_pays(town, run):
    async def story():
        await priced(town)
        invoice = await quoted(town, who="bob", spellSlug="paid")
        assert 50 <= invoice["costPts"] <= invoice["capPts"] <= 50.01  # at 1,000 points for a dollar
        answer = await cast(town, invoice["invoiceId"], who="bob", slug="paid")
        assert code(answer) == (402, "insufficient_points")
        assert answer.json()["details"]["missingPts"] == invoice["capPts"]
        account = town.users["bob"]["account"]
        await town.studio.workshop.ledger.grant(account, 60_000, actor="t")
        answer = await cast(town, invoice["invoiceId"], who="bob", slug="paid", words="x" * 41)
        assert answer.status_code == 422
        assert (await town.studio.workshop.ledger.balance(account))["heldPts"] == 0
        assert (await cast(town, invoice["invoiceId"], who="bob", slug="paid")).status_code == 202
        assert (await town.studio.workshop.ledger.balance(account))["heldPts"] == invoice["capPts"]

    run(story())


async def first_status(town, who, credit, **headers):
    """The status of a stream that is asked for; its events are not read."""
    app, client = town.app, getattr(town, who)
    said = asyncio.get_running_loop().create_future()
    pairs = [*client.headers.raw, *((k.encode(), v.encode()) for k, v in headers.items())]
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": pairs,
        "path": "/api/v1/spells/lantern/stream", "raw_path": b"/api/v1/spells/lantern/stream",
        "query_string": f"creditTxId={credit}".encode(), "client": ("127.0.0.1", 1), "root_path": "",
        "server": ("localhost", 8420),
    }  # fmt: skip
    pairs.append((b"host", b"localhost:8420"))

    async def receive():
        await said
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            said.set_result(message["status"])

    await app(scope, receive, send)
    return said.result()


def test_a_stream_opens_for_its_account_and_its_invoice_and_nobody_else(town, run):
    async def story():
        token = (await quoted(town))["invoiceId"]
        credit = (await cast(town, token)).json()["creditTxId"]
        assert await first_status(town, "nobody", credit) == 401
        assert await first_status(town, "ann", credit) == 200
        assert await first_status(town, "bob", credit) == 404
        assert await first_status(town, "ann", "0" * 32) == 404
        assert await first_status(town, "ann", "x") == 422
        assert await first_status(town, "nobody", credit, authorization=f"Bearer {token}") == 200
        assert await first_status(town, "nobody", "0" * 32, authorization=f"Bearer {token}") == 401
        assert await first_status(town, "nobody", credit, authorization="Bearer x.y.z") == 401
        await town.studio.feeds.close()

    run(story())

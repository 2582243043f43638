"""The life of a spell version over HTTP: who sees it, what retiring does, what differs, its pictures."""

import pytest

from tests.api.visitors.market import LANTERN, code

PLACES = ("/api/v1/spells/{}/meta", "/spells/{}", "/spells/{}/og", "/spells/{}/og/image")


async def seen(market, slug):
    """The statuses of everything that visitors see of a spell."""
    return [(await market.nobody.get(place.format(slug))).status_code for place in PLACES]


async def spell(market, slug):
    answer = await market.cora.get(f"/api/v1/spells/{slug}")
    return answer.json(), {"if-match": answer.headers["etag"]}


def versions(market, slug, path="", **more):
    return market.cora.request(
        more.pop("method", "POST"), f"/api/v1/spells/{slug}/versions/{path}", json=more.pop("json", {})
    )


@pytest.mark.parametrize(
    ("visibility", "listed", "status"),
    [("public", True, 200), ("unlisted", False, 200), ("private", False, 404)],
)
def test_visibility_says_who_sees_what(market, run, visibility, listed, status):
    async def story():
        slug = f"seen-{visibility}"
        await market.publish(slug, owner="ann")  # the start page lists the studio's own
        path = f"/api/v1/spells/{slug}"
        etag = {"if-match": (await market.ann.get(path)).headers["etag"]}
        answer = await market.ann.patch(path, json={"visibility": visibility}, headers=etag)
        assert answer.status_code == 200, answer.text
        assert await seen(market, slug) == [status] * 4
        assert (f'"/spells/{slug}"' in (await market.nobody.get("/")).text) is listed
        quote = await market.bob.post("/api/v1/payments/invoice", json={"spellSlug": slug})
        assert quote.status_code == status
        page = (await market.nobody.get(f"/spells/{slug}")).text
        assert ('content="noindex"' in page) is not listed

    run(story())


def test_what_is_retired_is_gone_for_visitors_and_there_for_what_pinned_it(market, run):
    async def story():
        await market.publish("old")
        token = (await market.quoted("bob", "old"))["invoiceId"]
        begun = await market.started("cora", "old")  # before
        answer = await versions(market, "old", "1/retire", json={"reason": "Its tool is gone."})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["offeredVersion"], answer.json()["retiredReason"]) == (
            None,
            "Its tool is gone.",
        )
        assert (await versions(market, "old", "1/retire")).json() == answer.json()  # twice is harmless
        assert await seen(market, "old") == [410] * 4
        meta = await market.nobody.get("/api/v1/spells/old/meta")
        assert code(meta) == (410, "spell_gone") and market.account("cora") not in meta.text
        page = (await market.nobody.get("/spells/old")).text
        assert "This spell is retired" in page
        quote = await market.bob.post("/api/v1/payments/invoice", json={"spellSlug": "old"})
        assert code(quote) == (409, "spell_retired")
        assert code(await market.cast("bob", "old", token)) == (409, "spell_retired")
        again = {"spell": "old", "version": "1", "inputs": {"words": "x"}}
        assert code(await market.cora.post("/api/v1/casts", json=again)) == (409, "spell_retired")
        etag = (await spell(market, "old"))[1]
        published = await market.cora.post("/api/v1/spells/old/publish", headers=etag)
        assert code(published) == (409, "spell_retired")  # the same content
        assert (await market.done("cora", begun["runId"]))["status"] == "completed"
        listed = (await market.cora.get("/api/v1/spells/old/versions")).json()["items"]
        assert [each["retiredReason"] for each in listed] == ["Its tool is gone."]

    run(story())


def test_a_retired_version_is_not_cast_though_a_newer_one_is_offered(market, run):
    async def story():
        await market.publish("newer", dear=True)
        await market.grant(market.account("bob"), 60)
        old = (await market.quoted("bob", "newer"))["invoiceId"]
        await market.publish("newer", dear=True, description="Anew.")
        await versions(market, "newer", "1/retire")
        before = await market.balance(market.account("bob"))
        assert code(await market.cast("bob", "newer", old)) == (409, "spell_retired")
        assert await market.balance(market.account("bob")) == before
        assert (await market.quoted("bob", "newer"))["spellVersion"] == "2"

    run(story())


def test_a_retired_private_spell_is_as_good_as_none(market, run):
    async def story():
        await market.publish("hidden", visibility="private")
        await versions(market, "hidden", "1/retire")
        assert await seen(market, "hidden") == [404] * 4

    run(story())


def test_a_retirement_is_taken_back_or_outlived_by_a_newer_version(market, run):
    async def story():
        await market.publish("back")
        await versions(market, "back", "1/retire")
        answer = await versions(market, "back", "1/restore")
        assert (answer.json()["offeredVersion"], answer.json()["retiredAt"]) == (1, None)
        assert await seen(market, "back") == [200] * 4
        await market.publish("back", description="Anew.")
        assert (await versions(market, "back", "1/retire")).json()["offeredVersion"] == 2  # an older one
        assert (await market.quoted("bob", "back"))["spellVersion"] == "2"
        await versions(market, "back", "2/retire")
        assert await seen(market, "back") == [410] * 4
        await market.publish("back", description="And again.")
        assert await seen(market, "back") == [200] * 4
        assert (await versions(market, "back", "2/restore")).json()["offeredVersion"] == 3
        assert code(await versions(market, "back", "9/retire")) == (404, "not_found")

    run(story())


def test_what_differs_is_said_field_by_field(market, run):
    async def story():
        await market.publish("differs")
        step = LANTERN["steps"][0]
        changed = step | {"inputs": step["inputs"] | {"width": 128}}
        more = {
            "id": "again",
            "tool": "text.card",
            "inputs": {"text": "x", "background_image": {"step": "card"}},
        }
        await market.publish("differs", steps=[changed, more], output={"step": "again"})
        answer = await market.cora.get("/api/v1/spells/differs/diff?before=1&after=2")
        assert answer.status_code == 200, answer.text
        told = {(c["change"], c["path"]): (c["before"], c["after"]) for c in answer.json()["changes"]}
        assert told["changed", "steps.card.inputs.width"] == (64, 128)
        assert told["added", "steps.again.tool"] == (None, "text.card")
        assert told["changed", "output.step"] == ("card", "again")
        assert told["added", "tools.again"][1].startswith("text.card@")
        assert ("changed", "name") not in told
        back = (await market.cora.get("/api/v1/spells/differs/diff?before=2&after=1")).json()["changes"]
        assert {c["path"] for c in back} == {path for _, path in told}
        assert (await market.cora.get("/api/v1/spells/differs/diff")).json() == {
            "slug": "differs", "before": "2", "after": "draft", "changes": [],
        }  # fmt: skip
        for wrong in ("before=0", "before=x", "after=-1", "before=1e9"):
            assert (await market.cora.get(f"/api/v1/spells/differs/diff?{wrong}")).status_code == 422
        assert code(await market.cora.get("/api/v1/spells/differs/diff?before=7")) == (404, "not_found")

    run(story())


def test_pictures_are_chosen_from_outputs_of_the_spell_itself(market, run):
    async def story():
        await market.publish("shown")
        await market.publish("unshown")
        mine = await market.done("cora", (await market.started("cora", "shown", words="mine"))["runId"])
        other = await market.done("cora", (await market.started("cora", "unshown"))["runId"])
        theirs = await market.done("bob", (await market.started("bob", "shown", words="his"))["runId"])
        path = "/api/v1/spells/shown/previews"
        chosen = await market.cora.put(path, json={"outputs": mine["generationIds"]})
        assert len(chosen.json()["previewImages"]) == 1
        for wrong in (other["generationIds"], theirs["generationIds"], ["nothing"], ["../x"]):
            assert code(await market.cora.put(path, json={"outputs": wrong})) == (404, "not_found")
        assert (await market.cora.put(path, json={"outputs": mine["generationIds"] * 7})).status_code == 422
        [preview] = (await market.nobody.get("/api/v1/spells/shown/meta")).json()["previews"]
        assert (await market.nobody.get(preview["path"])).status_code == 200
        _, etag = await spell(market, "shown")
        await market.cora.patch("/api/v1/spells/shown", json={"visibility": "private"}, headers=etag)
        assert (await market.nobody.get(preview["path"])).status_code == 404

    run(story())


def test_who_comes_the_way_of_the_preview_sees_a_banner_with_the_day(market, run):
    async def story():
        await market.publish("preview")
        browser, _ = await market.guest()
        assert 'class="notice"' not in (await browser.get("/spells/preview")).text
        body = {"spellSlug": "preview", "asset": "points"}
        asked = await browser.post("/api/v1/payments/prepare-spell", json=body)
        assert asked.headers["sunset"] == "Sat, 20 Nov 2027 00:00:00 GMT"
        page = (await browser.get("/spells/preview")).text
        assert 'class="notice"' in page and "20 November 2027" in page
        started = {"slug": "preview", "invoiceId": asked.json()["invoiceId"], "context": {"words": "x"}}
        key = {"idempotency-key": "k"}
        told = [await browser.post("/api/v1/payments/confirm", json=started, headers=key) for _ in range(2)]
        assert [each.status_code for each in told] == [202, 202]  # the cookie is no secret
        assert told[0].json() == told[1].json()
        assert "set-cookie" not in (await browser.post("/api/v1/payments/invoice", json=body)).headers

    run(story())

"""Guests who sign in keep what is theirs: points, runs and pictures come along, once, and to nobody else."""

import asyncio
import io
from dataclasses import replace

import pytest
from PIL import Image

from cauldron.domain.audit import BY_NAME, Tally
from cauldron.domain.commands import EndCast
from cauldron.domain.ledger import TRANSIT
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS
from cauldron.services.adopting import Adopting
from cauldron.services.adoptions import WATCHED_MS, adoption
from cauldron.services.audit_streams import CastCheck
from cauldron.services.casting import DECIDER
from cauldron.services.dispatch import Dispatcher
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import bookkeeper
from tests.api.visitors.market import code
from tests.kitchen import Tapped, step
from tests.services.identity_place import PASSWORD

SESSION = "/api/v1/session"


def words_of(name, **more):
    return {"name": name, "password": PASSWORD} | more


async def enter(browser, name, **more):
    answer = await browser.post(SESSION, json=words_of(name, **more))
    if answer.status_code == 201:
        browser.headers["x-csrf-token"] = answer.json()["csrfToken"]
    return answer


async def busy_guest(market, *, points=200, ends=True):
    """A browser of a guest with points, a run that has ended, one that has not, a picture; its account."""
    browser, guest = await market.guest()
    await market.grant(guest, points)
    done = await market.started(browser, "kept", words=f"done of {guest}") if ends else None
    if done is not None:
        await market.done(browser, done["runId"])
    open_ = await market.started(browser, "kept", words=f"open of {guest}")
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), tuple(bytes.fromhex(guest[-6:]))).save(picture, "PNG")
    files = [("file", ("a.png", picture.getvalue(), "image/png"))]
    assert (await browser.post("/api/v1/uploads", files=files)).status_code == 201
    return browser, guest, done, open_


async def runs_of(who):
    return {each["castId"] for each in (await who.get("/api/v1/casts")).json()["items"]}


async def casts_are_folds(market):
    """Every record of a cast says what its stream says."""
    tally = Tally(BY_NAME["projections"])
    studio = market.studio
    async for _ in CastCheck(studio.store, studio.clock(), studio.casting.project).run(tally):
        pass
    assert tally.found == 0, tally.samples


async def content(browser, run_id):
    cast = (await browser.get(f"/api/v1/casts/{run_id}")).json()
    media = cast["outputs"]["image"]["media"].removeprefix("sha256:")
    return (await browser.get(f"/api/v1/media/{media}")).status_code


def test_what_a_guest_has_comes_along_and_what_was_open_follows(market, run):
    async def story():
        await market.publish("kept", dear=True)
        browser, guest, done, open_ = await busy_guest(market)
        bob = market.account("bob")
        before = (await market.balance(bob))["availablePts"]
        uploads = len((await market.bob.get("/api/v1/uploads")).json()["items"])
        answer = await enter(browser, "bob")
        assert (answer.status_code, answer.json()["account"]) == (201, bob)
        assert (await market.balance(bob))["availablePts"] == pytest.approx(before + 100, abs=0.01)
        assert (await market.balance(guest))["availablePts"] == 0
        for who in (browser, market.bob):  # another device of theirs, too
            assert {done["runId"], open_["runId"]} <= await runs_of(who)
            assert await content(who, done["runId"]) == 200
        cast = (await browser.get(f"/api/v1/casts/{done['runId']}")).json()
        assert (cast["initiatorAccountId"], cast["payerAccountId"]) == (guest, guest)
        [step] = cast["steps"]
        assert (step["initiatorAccountId"], step["payerAccountId"]) == (guest, guest)
        found = (await market.bob.get("/api/v1/outputs", params={"castId": done["runId"]})).json()["items"]
        assert [each["outputId"] for each in found] == cast["generationIds"]
        assert len((await market.bob.get("/api/v1/uploads")).json()["items"]) == uploads + 1
        ended = await market.done(browser, open_["runId"])
        assert (ended["status"], ended["pointsSpent"]) == ("completed", 50)
        assert await content(market.bob, open_["runId"]) == 200
        await market.studio.workshop.adopting.finish(guest)  # or the follower of the books
        assert (await market.balance(bob))["availablePts"] == pytest.approx(before + 100)
        assert (await market.balance(guest))["heldPts"] == 0
        bearer = {"authorization": f"Bearer {done['token']}"}
        query = f"creditTxId={done['creditTxId']}"
        assert await market.stream("nobody", "kept", query, **bearer) == 200  # the invoice opens its own run
        assert await market.stream("bob", "kept", query) == 200
        assert await market.stream("cora", "kept", query) == 404
        rows = (await browser.get("/api/v1/points/statement")).json()["items"]
        assert "Came along from when you were a guest" in [row["says"] for row in rows]
        await casts_are_folds(market)
        await market.verified()

    run(story())


def test_nobody_gets_what_belongs_to_somebody_elses_guest(market, run):
    async def story():
        await market.publish("kept", dear=True)
        browser, guest, done, _ = await busy_guest(market)
        cora = market.account("cora")
        before = await market.balance(cora)
        plain = market.browser()
        assert (await enter(plain, "cora")).status_code == 201  # without the guest's cookie
        forged = market.browser()
        forged.cookies.set("cauldron", f"cs_{guest}_{'A' * 43}")
        assert (await enter(forged, "cora")).status_code == 201  # a cookie that names the guest
        asked = await market.browser().post(SESSION, json=words_of("cora", guest=guest))
        assert code(asked)[0] == 422  # there is no way to name one
        token = browser.headers.pop("x-csrf-token")
        assert code(await browser.post(SESSION, json=words_of("cora"))) == (403, "cross_site_request")
        wrong = words_of("cora") | {"password": "not the pass phrase"}
        browser.headers["x-csrf-token"] = token
        assert code(await browser.post(SESSION, json=wrong)) == (401, "unauthenticated")
        assert (await browser.get("/api/v1/me")).json()["account"] == guest  # is still who they were
        old = dict(browser.cookies)
        assert (await enter(browser, "bob")).status_code == 201
        late = market.browser()
        late.cookies.update(old)  # a cookie that was stolen, and is over
        late.headers["x-csrf-token"] = token
        assert (await enter(late, "cora")).status_code == 201
        assert await market.balance(cora) == before
        assert done["runId"] not in await runs_of(market.cora)
        assert code(await market.cora.get(f"/api/v1/casts/{done['runId']}")) == (404, "not_found")
        assert done["runId"] in await runs_of(market.bob)

    run(story())


def test_of_two_who_sign_in_with_one_guest_at_once_one_gets_everything(market, run):
    async def story():
        await market.publish("kept", dear=True)
        browser, guest, done, open_ = await busy_guest(market)
        names = ("bob", "cora", "bob", "cora")
        answers = await asyncio.gather(*(browser.post(SESSION, json=words_of(name)) for name in names))
        assert {answer.status_code for answer in answers} == {201}  # everybody is signed in
        owners = [n for n in ("bob", "cora") if done["runId"] in await runs_of(market.clients[n])]
        assert len(owners) == 1
        [said] = await market.studio.store.get("adoptions", [guest])
        assert said["owner"] == market.account(owners[0])
        assert open_["runId"] in await runs_of(market.clients[owners[0]])
        await market.studio.casting.cancel(open_["runId"], actor="t")
        await market.verified()

    run(story())


def test_a_guest_may_give_everything_up_and_an_invited_one_keeps_it(market, run):
    async def story():
        await market.publish("kept", dear=True)
        browser, guest, done, _ = await busy_guest(market)
        assert (await enter(browser, "bob", keepGuest=False)).status_code == 201
        assert done["runId"] not in await runs_of(browser)
        assert await market.studio.store.get("adoptions", [guest]) == [None]
        browser, guest, done, _ = await busy_guest(market)
        asked = {"role": "creator", "ownAccount": True}
        owner = market.browser()
        assert (await enter(owner, "ann")).status_code == 201
        token = (await owner.post("/api/v1/invitations", json=asked)).json()["token"]
        name = f"new-{guest[:8]}"
        answer = await browser.post("/api/v1/invitations/accept", json=words_of(name, token=token))
        assert answer.status_code == 201, answer.text
        assert done["runId"] in await runs_of(browser)
        points = (await browser.get("/api/v1/points")).json()
        assert points["availablePts"] == pytest.approx(100, abs=0.01)

    run(story())


def test_outputs_that_were_written_at_the_end_of_a_run_come_along_too(market, run):
    """A step that ended shortly before its run was never told of by itself."""

    async def story():
        await market.publish("kept", dear=True)
        casting = market.studio.casting
        _, guest, _, open_ = await busy_guest(market, ends=False)
        run_id = open_["runId"]
        end = EndCast(key=f"end:{run_id}", status="success", steps=[step({"attempt": 1})], outputs={})
        await casting.casts.handle(f"cast:{run_id}", end, actor="t")
        await casting.project(run_id)
        [output] = await market.studio.store.get("generationOutputs", [f"{run_id}.1.0"])
        assert output["owner"] == guest
        now = market.studio.clock()
        await market.studio.store.commit([adoption(guest, owner="heir", actor="heir", now=now)])
        await market.studio.workshop.adopting.finish(guest)
        [output] = await market.studio.store.get("generationOutputs", [f"{run_id}.1.0"])
        assert (output["owner"], output["initiatorAccountId"]) == ("heir", guest)
        await casts_are_folds(market)

    run(story())


class Killed(BaseException):
    """Stands for SIGKILL."""


def doomed(studio, nth):
    """An adopting whose process dies before its nth write."""
    writes = 0

    async def tap(point):
        nonlocal writes
        writes += point.startswith("before:")
        if writes == nth:
            raise Killed

    store = Tapped(studio.store, tap)
    casts = Dispatcher(Streams(store, CAST_EVENTS), DECIDER, clock=studio.clock)
    casting = replace(studio.casting, store=store, casts=casts)
    ledger = Ledger(store, clock=studio.clock, new_id=studio.new_id)
    return Adopting(store, ledger, casting, studio.clock)


async def followed(studio, account):
    """What the follower of the books does with what is in an account's stream."""
    keeper = bookkeeper(studio.workshop.books, studio.leases)
    async for page in studio.workshop.ledger.streams.read(f"account:{account}"):
        for commit in page:
            await keeper.note(commit)


def test_killed_before_any_write_it_is_finished_and_nothing_is_lost_or_doubled(market, run):
    async def story():
        await market.publish("kept", dear=True)
        studio, workshop = market.studio, market.studio.workshop
        survived, nth = False, 0
        while not survived:
            nth += 1
            _, guest, _, open_ = await busy_guest(market, ends=False)
            heir = f"heir-{guest}"
            now = studio.clock()
            await studio.store.commit([adoption(guest, owner=heir, actor=heir, now=now)])
            try:
                await doomed(studio, nth).finish(guest)
                survived = True
            except Killed:
                pass
            await followed(studio, guest)
            await workshop.adopting.round()
            await workshop.adopting.finish(guest)  # twice is once
            assert (await market.balance(heir))["availablePts"] == pytest.approx(150, abs=0.01), nth
            [cast] = await studio.store.get("casts", [open_["runId"]])
            assert (cast["owner"], cast["initiatorAccountId"]) == (heir, guest), nth
            for table, order in (("uploads", "-createdAt"), ("casts", "-startedAt")):
                where = {"owner": guest} | ({"cookId": None} if table == "casts" else {})
                assert await studio.store.find(table, where, order=(order,)) == [], nth
            await studio.casting.cancel(open_["runId"], actor="t")
        assert survived and nth > 6
        await casts_are_folds(market)
        async with asyncio.timeout(30):  # what the last hold gives back may be on its way just now
            while (await workshop.ledger_check.verify()).sums.get(TRANSIT, 0):
                await asyncio.sleep(0.05)
        studio.ahead_ms += WATCHED_MS
        while await workshop.adopting.round():
            pass
        watched = {"watched": True}
        assert await studio.store.find("adoptions", watched, order=("lookAt",)) == []  # an hour is enough
        await market.verified()

    run(story(), timeout_s=240)

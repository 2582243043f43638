"""Identity over HTTP: who gets in, from where, by what; and what never comes out."""

import asyncio
import contextlib
import json
import re

import pytest
import structlog

from cauldron.api.authentication import LOOPBACK_COOKIE, SECURE_COOKIE
from cauldron.domain.credentials import KEY, SESSION, parse_token
from cauldron.services.identity_throttle import PER_NAME
from tests.api.identity_house import HERE, OUTSIDE, house
from tests.mongod import studio_database
from tests.services.identity_place import DAY_MS, OTHER, PASSWORD

SIGN_IN = {"name": "ann", "password": PASSWORD}
NOBODY = "0" * 32


@pytest.fixture(params=["sqlite", "mongo"])
def home(request, tmp_path, run):
    """A house on each engine."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(studio_database()) if request.param == "mongo" else ""
        opened = house(tmp_path, url)
        yield run(opened.__aenter__())
        run(opened.__aexit__(None, None, None))


@contextlib.contextmanager
def shared(folder, prepare):
    """A house on SQLite for questions that the engine has no part in, and what runs them."""
    with asyncio.Runner() as runner:
        opened = house(folder)
        made = runner.run(opened.__aenter__())
        runner.run(prepare(made))
        yield made, runner.run
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def ownerless(tmp_path_factory):
    async def nothing(_house):
        pass

    with shared(tmp_path_factory.mktemp("ownerless"), nothing) as made:
        yield made


@pytest.fixture(scope="module")
def peopled(tmp_path_factory):
    """With an owner, and one user of each other role, named after it."""

    async def people(home):
        await home.owner()
        for role in ("creator", "reviewer", "operator", "service"):
            await home.add(role, role, join="local")

    with shared(tmp_path_factory.mktemp("peopled"), people) as made:
        yield made


def cookies_of(answer):
    return answer.headers.get_list("set-cookie")


# --- this machine, before there is an owner -----------------------------------------------------

LOCAL = [
    # what asks, and whether it acts as the local owner
    ({}, True),
    ({"base": "http://127.0.0.1:8420"}, True),
    ({"base": "http://[::1]:8420"}, True),
    ({"base": "http://127.9.9.9"}, True),
    ({"client": "::1"}, True),
    ({"client": "::ffff:127.0.0.1"}, True),
    ({"client": "192.0.2.1"}, False),
    ({"client": "::ffff:192.0.2.1"}, False),
    ({"base": "http://rebound.example"}, False),  # a name that now leads here
    ({"base": "http://localhost.example"}, False),
    ({"base": "http://127.0.0.1.example"}, False),
    ({"host": "localhost@rebound.example"}, False),
    ({"host": "localhost/rebound.example"}, False),
    ({"host": ""}, False),
    ({"x_forwarded_for": "127.0.0.1"}, False),
    ({"forwarded": "for=127.0.0.1"}, False),
    ({"x_real_ip": "127.0.0.1"}, False),
    ({"via": "1.1 proxy"}, False),
    ({"authorization": "Bearer something-else"}, False),
    ({"authorization": "Basic YTpi"}, True),  # a proxy's own affair
]


@pytest.mark.parametrize(("asking", "local"), LOCAL)
def test_who_is_the_local_owner(ownerless, asking, local):
    home, run = ownerless
    answer = run(home.script(**asking).get("/api/v1/me"))
    assert answer.status_code == (200 if local else 401), answer.text
    if local:
        assert answer.json()["via"] == "local"
        assert answer.json()["role"] == "owner"


def test_http_1_0_is_not_local_since_it_is_how_nginx_speaks(ownerless):
    home, run = ownerless
    seen = []

    async def ask(version):
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            seen.append(message.get("status"))

        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": version, "method": "GET"},
            **{"path": "/api/v1/me", "raw_path": b"/api/v1/me", "query_string": b"", "root_path": ""},
            **{"headers": [(b"host", b"127.0.0.1:8420")], "scheme": "http"},
            **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8420)},
        }
        await home.app(scope, receive, send)

    run(ask("1.1"))
    run(ask("1.0"))
    assert [status for status in seen if status] == [200, 401]


PAGES = [
    # method, what the browser says of the page, answer
    ("GET", {}, 200),
    ("GET", {"sec_fetch_site": "same-origin"}, 200),
    ("GET", {"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, 200),
    ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),  # a link was followed
    ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),  # a picture on their page
    ("GET", {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"}, 403),  # another port of localhost
    ("POST", {}, 409),
    ("POST", {"origin": HERE}, 409),
    ("POST", {"origin": HERE, "sec_fetch_site": "same-origin"}, 409),
    ("POST", {"origin": "https://evil.example"}, 403),
    ("POST", {"origin": "http://localhost:3000"}, 403),
    ("POST", {"origin": "https://localhost:8420"}, 403),
    ("POST", {"origin": "null"}, 403),
    ("POST", {"origin": HERE, "sec_fetch_site": "cross-site"}, 403),
    ("POST", {"sec_fetch_site": "same-site"}, 403),
]


@pytest.mark.parametrize(("method", "said", "status"), PAGES)
def test_pages_of_other_sites_get_nothing_of_this_machine(ownerless, method, said, status):
    """Making a key without an owner is refused with 409: it got as far as that."""
    home, run = ownerless
    path, body = ("/api/v1/me", None) if method == "GET" else ("/api/v1/keys", {"label": "k"})
    answer = run(home.script(**said).request(method, path, json=body))
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["code"] == "cross_site_request"


# --- setting up --------------------------------------------------------------------------------


def test_after_set_up_everybody_needs_to_show_something(home, run):
    script = home.script()
    assert run(script.get("/api/v1/keys")).status_code == 200
    answer = run(home.browser().post("/api/v1/setup", json=SIGN_IN))
    assert answer.status_code == 201
    assert (answer.json()["role"], answer.json()["account"]) == ("owner", "local")
    assert run(script.get("/api/v1/keys")).status_code == 401
    for asking in (script, home.script(client="192.0.2.1"), home.script(base=OUTSIDE)):
        again = run(asking.post("/api/v1/setup", json=SIGN_IN | {"name": "eve"}))
        assert (again.status_code, again.json()["code"]) == (409, "refused")


@pytest.mark.parametrize(
    "asking",
    [{"client": "192.0.2.1"}, {"base": "http://rebound.example"}, {"x_forwarded_for": "127.0.0.1"}],
)
def test_only_this_machine_sets_up(ownerless, asking):
    home, run = ownerless
    answer = run(home.script(**asking).post("/api/v1/setup", json=SIGN_IN))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert run(home.studio.identity.authenticator.is_ownerless())


def test_of_many_set_ups_at_once_one_succeeds(home, run):
    async def race():
        asked = [home.script().post("/api/v1/setup", json=SIGN_IN | {"name": f"o{n}"}) for n in range(10)]
        return sorted(answer.status_code for answer in await asyncio.gather(*asked))

    found = run(race())
    assert found[0] == 201
    assert set(found[1:]) <= {403, 409}


# --- signing in ---------------------------------------------------------------------------------


def test_the_cookie_on_this_machine_and_behind_tls(home, run):
    run(home.owner())
    for base, name, secure in ((HERE, LOOPBACK_COOKIE, False), (OUTSIDE, SECURE_COOKIE, True)):
        client = "127.0.0.1" if base == HERE else "192.0.2.1"
        answer = run(home.browser(base=base, client=client).post("/api/v1/session", json=SIGN_IN))
        [cookie] = cookies_of(answer)
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert cookie.split("=")[0] == name
        assert {"httponly", "path=/", "samesite=lax"} <= parts
        assert ("secure" in parts) is secure
        assert not any(part.startswith("domain") for part in parts)
        assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", ["session", "invitations/accept"])
def test_passwords_do_not_travel_in_the_open(peopled, path):
    home, run = peopled
    body = SIGN_IN if path == "session" else SIGN_IN | {"token": f"ci_{NOBODY}_{'x' * 43}"}
    asking = home.script(base="http://studio.example", client="192.0.2.1")
    answer = run(asking.post(f"/api/v1/{path}", json=body))
    assert (answer.status_code, answer.json()["code"]) == (403, "https_needed")


def test_a_session_cookie_is_not_taken_over_plain_http_from_elsewhere(home, run):
    run(home.owner())
    browser = run(home.signed_in("ann"))
    token = browser.cookies[LOOPBACK_COOKIE]
    cookie = f"{LOOPBACK_COOKIE}={token}"
    assert run(home.script(cookie=cookie).get("/api/v1/me")).status_code == 200
    assert run(home.script(cookie=cookie, base="http://studio.example").get("/api/v1/me")).status_code == 401
    secured = home.script(cookie=cookie, base=OUTSIDE)  # only the __Host- name counts there
    assert run(secured.get("/api/v1/me")).status_code == 401
    twice = home.script(cookie=f"{cookie}; {cookie}")  # planted beside ours
    assert run(twice.get("/api/v1/me")).status_code == 401


def test_a_session_lives_until_it_is_signed_out(home, run):
    run(home.owner())
    browser = run(home.signed_in("ann"))
    token = browser.cookies[LOOPBACK_COOKIE]
    me = run(browser.get("/api/v1/me")).json()
    assert (me["via"], me["csrfToken"]) == ("session", browser.headers["x-csrf-token"])
    assert run(browser.delete("/api/v1/session")).status_code == 204
    assert LOOPBACK_COOKIE not in browser.cookies
    assert run(home.script(cookie=f"{LOOPBACK_COOKIE}={token}").get("/api/v1/me")).status_code == 401
    assert run(home.script().delete("/api/v1/session")).status_code == 204  # nothing to end


def test_a_planted_session_is_not_taken_over(home, run):
    """Fixation: whatever cookie a browser brings, signing in gives another one, and the old one ends."""
    run(home.owner())
    run(home.add("eve"))
    for planted in (run(home.signed_in("eve")).cookies[LOOPBACK_COOKIE], f"cs_{NOBODY}_{'A' * 43}"):
        browser = home.browser()
        browser.cookies.set(LOOPBACK_COOKIE, planted, domain="localhost.local")
        token = parse_token(planted, SESSION)
        answer = run(browser.post("/api/v1/session", json=SIGN_IN, headers={"x-csrf-token": token.csrf}))
        assert answer.status_code == 201
        assert planted not in cookies_of(answer)[0]
        shown = home.script(cookie=f"{LOOPBACK_COOKIE}={planted}")
        assert run(shown.get("/api/v1/me")).status_code == 401


def test_a_stale_cookie_does_not_keep_anybody_from_signing_in(home, run):
    run(home.owner())
    browser = run(home.signed_in("ann"))
    home.clock.pass_ms(40 * DAY_MS)
    assert run(browser.get("/api/v1/me")).status_code == 401
    assert run(browser.post("/api/v1/session", json=SIGN_IN)).status_code == 201


def test_sign_ins_are_throttled_and_say_for_how_long(home, run):
    run(home.owner())
    wrong = SIGN_IN | {"password": OTHER}
    for _ in range(PER_NAME.tries):
        answer = run(home.script().post("/api/v1/session", json=wrong))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    answer = run(home.script().post("/api/v1/session", json=SIGN_IN))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    wait_s = int(answer.headers["retry-after"])
    home.clock.pass_ms(wait_s * 1000 - 1)
    assert run(home.script().post("/api/v1/session", json=SIGN_IN)).status_code == 429
    home.clock.pass_ms(1)
    assert run(home.script().post("/api/v1/session", json=SIGN_IN)).status_code == 201


def test_unknown_names_and_wrong_passwords_answer_alike(home, run):
    run(home.owner())
    answers = [
        run(home.script(x_request_id="same-for-both").post("/api/v1/session", json=body))
        for body in (SIGN_IN | {"password": OTHER}, {"name": "nobody", "password": PASSWORD})
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].status_code == answers[1].status_code == 401


def test_a_changed_password_ends_other_sessions_and_renews_this_one(home, run):
    run(home.owner())
    browser, other = run(home.signed_in("ann")), run(home.signed_in("ann"))
    body = {"current": PASSWORD, "new": OTHER}
    assert run(browser.post("/api/v1/me/password", json=body | {"current": "wrong"})).status_code == 401
    answer = run(browser.post("/api/v1/me/password", json=body))
    assert answer.status_code == 200
    assert run(browser.get("/api/v1/me")).json()["csrfToken"] == answer.json()["csrfToken"]
    assert run(other.get("/api/v1/me")).status_code == 401


# --- cross-site requests with a session -----------------------------------------------------------

SAME, CROSS = {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "cross-site"}
MATRIX = [
    # what is said of the page, which token, whether it may change something
    (SAME | {"origin": HERE}, "own", True),
    (SAME, "own", True),
    ({"origin": HERE}, "own", True),
    ({}, "own", False),
    ({"origin": "https://evil.example"}, "own", False),
    ({"origin": "http://localhost"}, "own", False),
    ({"origin": "http://localhost:8421"}, "own", False),
    ({"origin": "https://localhost:8420"}, "own", False),
    ({"origin": "http://localhost:8420.evil.example"}, "own", False),
    ({"origin": "null"}, "own", False),
    (CROSS | {"origin": HERE}, "own", False),
    ({"sec-fetch-site": "same-site", "origin": HERE}, "own", False),
    ({"sec-fetch-site": "none"}, "own", False),
    (SAME | {"origin": HERE}, "none", False),
    (SAME | {"origin": HERE}, "other", False),
    (SAME | {"origin": HERE}, "spoilt", False),
    (SAME | {"origin": HERE}, "empty", False),
    (SAME | {"origin": HERE}, "foreign", False),
]


@pytest.mark.parametrize(("said", "which", "allowed"), MATRIX)
def test_what_a_session_may_change_depends_on_the_page(peopled, said, which, allowed):
    home, run = peopled
    browser, other = run(home.signed_in("ann")), run(home.signed_in("ann"))
    own = browser.headers["x-csrf-token"]
    tokens = {"own": own, "other": other.headers["x-csrf-token"], "spoilt": own[:-2] + "AA", "empty": ""}
    headers = said | ({} if which == "none" else {"x-csrf-token": tokens.get(which, "ünïcode")})
    cookie = f"{LOOPBACK_COOKIE}={browser.cookies[LOOPBACK_COOKIE]}"
    plain = home.script(cookie=cookie)
    encoded = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
    answer = run(plain.post("/api/v1/keys", json={"label": "k"}, headers=encoded))
    assert answer.status_code == (201 if allowed else 403), answer.text
    if not allowed:
        assert answer.json()["code"] == "cross_site_request"
    assert run(plain.get("/api/v1/me")).status_code == 200  # looking needs none of it


UNSAFE = [
    ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/me/password"),
    ("POST", "/api/v1/keys"),
    ("DELETE", f"/api/v1/keys/{NOBODY}"),
    ("PATCH", f"/api/v1/users/{NOBODY}"),
    ("POST", "/api/v1/invitations"),
    ("DELETE", f"/api/v1/invitations/{NOBODY}"),
    ("POST", "/api/v1/session"),
    ("POST", "/api/v1/session/guest"),
    ("POST", "/api/v1/setup"),
    ("POST", "/api/v1/invitations/accept"),
]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
def test_every_unsafe_route_is_guarded(peopled, method, path):
    home, run = peopled
    browser = run(home.signed_in("ann"))
    del browser.headers["x-csrf-token"]
    answer = run(browser.request(method, path, json={} if method != "DELETE" else None))
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")


def test_every_unsafe_route_of_identity_is_in_the_list(peopled):
    home, _ = peopled
    paths = home.app.openapi()["paths"]
    found = {
        (method.upper(), re.sub(r"\{\w+\}", NOBODY, path))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method not in ("get", "head") and "identity" in operation.get("tags", ())
    }
    assert found == set(UNSAFE)


def test_a_key_needs_no_page(peopled):
    home, run = peopled
    key = run(home.key(run(home.studio.identity.users.named("ann"))))
    crossing = home.script(key=key, origin="https://tool.example", sec_fetch_site="cross-site")
    assert run(crossing.get("/api/v1/me")).json()["via"] == "key"
    assert run(crossing.post("/api/v1/invitations", json={"role": "reviewer"})).status_code == 201


def test_a_websocket_opens_for_our_own_pages_only(peopled):
    home, run = peopled
    token = run(home.signed_in("ann")).cookies[LOOPBACK_COOKIE]
    cookie = (b"cookie", f"{LOOPBACK_COOKIE}={token}".encode())

    async def opened(*headers):
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        scope = {
            **{"type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws"},
            **{"path": "/nowhere", "raw_path": b"/nowhere", "query_string": b"", "root_path": ""},
            **{"headers": [(b"host", b"localhost:8420"), *headers], "subprotocols": []},
            **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8420), "extensions": {}},
        }
        with contextlib.suppress(Exception):  # there is no such endpoint
            await home.app(scope, receive, send)
        return sent[0].get("reason")

    assert run(opened(cookie, (b"origin", b"https://evil.example"))) == "cross_site_request"
    assert run(opened(cookie)) == "cross_site_request"
    assert run(opened(cookie, (b"origin", HERE.encode()))) != "cross_site_request"


# --- OWASP 1: nobody reaches what is another account's --------------------------------------------


def test_ids_of_others_are_as_missing(home, run):
    owner = run(home.owner())
    bo, cy = run(home.add("bo")), run(home.add("cy"))
    keys = {name: run(home.key(user)) for name, user in (("ann", owner), ("bo", bo), ("cy", cy))}
    browsers = {name: run(home.signed_in(name)) for name in keys}
    made = run(browsers["bo"].post("/api/v1/invitations", json={"role": "reviewer"})).json()["id"]
    key_id = parse_token(keys["bo"], KEY).id
    for path, missing in (
        (f"/api/v1/keys/{key_id}", f"/api/v1/keys/{NOBODY}"),
        (f"/api/v1/invitations/{made}", f"/api/v1/invitations/{NOBODY}"),
    ):
        answers = [run(browsers["cy"].delete(each)) for each in (path, missing)]
        bodies = [answer.text.replace(path.split("/")[-1], NOBODY) for answer in answers]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert bodies[0] == bodies[1]
    assert [each["id"] for each in run(browsers["cy"].get("/api/v1/keys")).json()["items"]] == [
        parse_token(keys["cy"], KEY).id
    ]
    assert run(browsers["cy"].get("/api/v1/invitations")).json()["items"] == []
    assert run(home.script(key=keys["bo"]).get("/api/v1/me")).status_code == 200  # still good
    assert run(browsers["ann"].delete(f"/api/v1/keys/{key_id}")).status_code == 204  # who runs the place
    assert run(browsers["bo"].delete(f"/api/v1/invitations/{made}")).status_code == 204


def test_who_shares_an_account_does_not_share_keys(home, run):
    run(home.owner())
    bo = run(home.add("bo", join="local"))
    key_id = parse_token(run(home.key(bo)), KEY).id
    cy = run(home.add("cy", "creator", join="local"))
    browser = run(home.signed_in(cy["name"]))
    assert run(browser.delete(f"/api/v1/keys/{key_id}")).status_code == 404
    assert run(browser.get("/api/v1/keys", params={"userId": bo["_id"]})).status_code == 403


# --- OWASP 2: what is not valid opens nothing -----------------------------------------------------


@pytest.mark.parametrize("how", ["garbage", "expired", "revoked", "spoilt", "no key", "nothing", "session"])
def test_what_is_not_a_valid_key_is_refused(home, run, how):
    owner = run(home.owner())
    key = run(home.key(owner, expires_in_ms=10_000))
    good = home.script(key=key)
    assert run(good.get("/api/v1/me")).status_code == 200
    shown = {
        "garbage": "ck_garbage",
        "spoilt": key[:-4] + "AAAA",
        "no key": "eyJhbGciOiJub25lIn0.e30.",
        "session": run(home.signed_in("ann")).cookies[LOOPBACK_COOKIE],
    }.get(how, key)
    if how == "expired":
        home.clock.pass_ms(10_000)
    if how == "revoked":
        assert run(good.delete(f"/api/v1/keys/{parse_token(key, KEY).id}")).status_code == 204
    asking = home.script() if how == "nothing" else home.script(key=shown)
    answer = run(asking.get("/api/v1/me"))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_bad_key_is_not_made_good_by_a_session(home, run):
    run(home.owner())
    browser = run(home.signed_in("ann"))
    answer = run(browser.get("/api/v1/me", headers={"authorization": f"Bearer ck_{NOBODY}_{'A' * 43}"}))
    assert answer.status_code == 401


# --- OWASP 3: nobody sets what is not theirs to set ------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("keys", {"label": "k", "hash": "x"}),
        ("keys", {"label": "k", "expiresInS": True}),
        ("keys", {"label": "k", "expiresInS": "60"}),
        ("keys", {"label": "k", "expiresInS": 0}),
        ("keys", {"label": "k", "scopes": []}),
        ("keys", {"label": "k", "scopes": ["everything"]}),
        ("keys", {"label": "k" * 101}),
        ("keys", {}),
        ("invitations", {"role": "owner"}),
        ("invitations", {"role": "reviewer", "account": "other"}),
        ("session", SIGN_IN | {"role": "owner"}),
        ("invitations/accept", {"token": f"ci_{NOBODY}_{'x' * 43}", **SIGN_IN, "role": "owner"}),
        ("me/password", {"current": PASSWORD, "new": OTHER, "name": "x"}),
    ],
)
def test_bodies_are_strict(peopled, path, body):
    home, run = peopled
    answer = run(run(home.signed_in("ann")).post(f"/api/v1/{path}", json=body))
    assert answer.status_code == 422, answer.text
    assert PASSWORD not in answer.text


# --- OWASP 5: functions of an admin -----------------------------------------------------------------

ADMIN = [
    ("GET", "/api/v1/users", None),
    ("GET", "/api/v1/users/{id}", None),
    ("PATCH", "/api/v1/users/{id}", {"role": "owner"}),
    ("GET", "/api/v1/keys?userId={id}", None),
    ("POST", "/api/v1/keys", {"label": "k", "userId": "{id}"}),
    ("POST", "/api/v1/keys", {"label": "k", "scopes": ["admin"]}),
    ("POST", "/api/v1/invitations", {"role": "creator", "ownAccount": True}),
    ("POST", "/api/v1/invitations", {"role": "operator"}),
]


@pytest.mark.parametrize("role", ["creator", "reviewer", "operator", "service"])
@pytest.mark.parametrize(("method", "path", "body"), ADMIN)
def test_functions_of_an_admin_are_closed_to_others(peopled, role, method, path, body):
    home, run = peopled
    owner, user = (run(home.studio.identity.users.named(name)) for name in ("ann", role))
    key = run(home.key(owner if role == "service" else user, **for_service(role, user)))
    path = path.replace("{id}", owner["_id"])
    body = json.loads(json.dumps(body).replace("{id}", owner["_id"]))
    asking = [home.script(key=key), *([] if role == "service" else [run(home.signed_in(role))])]
    for client in asking:
        answer = run(client.request(method, path, json=body, headers={"if-match": '"1"'}))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), answer.text
    [record] = run(home.studio.store.get("users", [owner["_id"]]))
    assert record["role"] == "owner"


def for_service(role, user):
    return {"user_id": user["_id"]} if role == "service" else {}


def test_a_key_without_admin_hands_out_nothing(home, run):
    key = run(home.key(run(home.owner()), scopes=["read", "edit", "cook"]))
    script = home.script(key=key)
    for path, body in (("keys", {"label": "k"}), ("invitations", {"role": "reviewer"})):
        answer = run(script.post(f"/api/v1/{path}", json=body))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    body = {"current": PASSWORD, "new": OTHER}
    assert run(script.post("/api/v1/me/password", json=body)).status_code == 409


# --- users ------------------------------------------------------------------------------------------


def test_a_user_is_changed_by_version_and_stops_at_once(home, run):
    run(home.owner())
    bo = run(home.add("bo"))
    admin, browser = run(home.signed_in("ann")), run(home.signed_in("bo"))
    path = f"/api/v1/users/{bo['_id']}"
    assert run(admin.patch(path, json={"disabled": True})).status_code == 428
    assert run(admin.patch(path, json={"disabled": True}, headers={"if-match": '"9"'})).status_code == 412
    tag = run(admin.get(path)).headers["etag"]
    answer = run(admin.patch(path, json={"role": "reviewer"}, headers={"if-match": tag}))
    assert (answer.status_code, answer.json()["role"]) == (200, "reviewer")
    assert answer.headers["etag"] == run(admin.get(path)).headers["etag"] != tag
    assert run(browser.get("/api/v1/me")).json()["scopes"] == ["read", "review"]
    changed = {"if-match": answer.headers["etag"]}
    assert run(admin.patch(path, json={"disabled": True}, headers=changed)).json()["disabled"] is True
    assert run(browser.get("/api/v1/me")).status_code == 401
    assert run(admin.get(f"/api/v1/users/{NOBODY}")).status_code == 404


def test_users_are_listed_by_page(home, run):
    run(home.owner())
    for n in range(4):
        run(home.add(f"u{n}"))
    admin, names, cursor = run(home.signed_in("ann")), [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = run(admin.get("/api/v1/users", params=params)).json()
        names += [each["name"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["ann", "u0", "u1", "u2", "u3"]
    for bad in ({"cursor": "x"}, {"cursor": "WzFd"}, {"limit": 101}, {"limit": 0}):
        assert run(admin.get("/api/v1/users", params=bad)).status_code == 422


# --- invitations --------------------------------------------------------------------------------------


def test_an_invitation_makes_one_user_who_is_signed_in(home, run):
    run(home.owner())
    admin = run(home.signed_in("ann"))
    token = run(admin.post("/api/v1/invitations", json={"role": "reviewer"})).json()["token"]

    async def race():
        body = {"token": token, "password": PASSWORD}
        asked = [
            home.browser(base=OUTSIDE, client=f"192.0.2.{n}").post(
                "/api/v1/invitations/accept", json=body | {"name": f"new{n}"}
            )
            for n in range(100)
        ]
        return await asyncio.gather(*asked)

    answers = run(race())
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 404, 409}
    assert len(run(admin.get("/api/v1/users")).json()["items"]) == 2
    assert (made[0].json()["role"], made[0].json()["account"]) == ("reviewer", "local")
    assert cookies_of(made[0])[0].startswith(SECURE_COOKIE)
    [listed] = run(admin.get("/api/v1/invitations")).json()["items"]
    assert listed["usedBy"] == made[0].json()["id"]


# --- secrets ---------------------------------------------------------------------------------------------


def test_no_secret_or_hash_is_answered_logged_or_listed(home, run, capsys):
    """A whole story; every secret may be seen once, in the one answer that hands it over."""
    answers, secrets = [], {}

    async def story():
        browser = home.browser()
        answers.append(await browser.post("/api/v1/setup", json=SIGN_IN))
        browser.headers["x-csrf-token"] = answers[-1].json()["csrfToken"]
        secrets["session"] = browser.cookies[LOOPBACK_COOKIE]
        answers.append(await browser.post("/api/v1/keys", json={"label": "k"}))
        secrets["key"] = answers[-1].json()["key"]
        script = home.script(key=secrets["key"])
        answers.append(await script.post("/api/v1/invitations", json={"role": "creator"}))
        secrets["invitation"] = answers[-1].json()["token"]
        body = {"token": secrets["invitation"], "name": "bo", "password": OTHER}
        answers.append(await home.browser().post("/api/v1/invitations/accept", json=body))
        for path in ("me", "keys", "users", "invitations", "openapi.json"):
            answers.append(await browser.get(f"/api/v1/{path}"))
            answers.append(await script.get(f"/api/v1/{path}"))
        answers.append(await home.script(key=secrets["key"][:-1] + "!").get("/api/v1/me"))
        answers.append(await home.script().post("/api/v1/session", json=SIGN_IN | {"password": OTHER}))
        body = {"current": PASSWORD, "new": OTHER + OTHER}
        answers.append(await browser.post("/api/v1/me/password", json=body))

    with structlog.testing.capture_logs() as logged:
        run(story())
    docs = [
        doc
        for table in ("users", "api_keys", "sessions", "invitations")
        for doc in run(home.studio.store.find(table, {}))
    ]
    hashes = [doc[name] for doc in docs for name in ("hash", "password") if doc.get(name)]
    assert len(hashes) >= 5
    said = "\n".join(answer.text + str(sorted(answer.headers.items())) for answer in answers)
    told = str(logged) + "".join(capsys.readouterr())
    assert "request" in told or logged
    for value in (*hashes, PASSWORD, OTHER):
        assert value not in said
        assert value not in told
    for text in secrets.values():
        secret = parse_token(text, text[:2]).secret
        assert said.count(secret) == 1
        assert secret not in told
        assert secret not in str(docs)


def test_a_repeated_request_makes_one_key_and_shows_it_once(home, run):
    run(home.owner())
    browser = run(home.signed_in("ann"))
    browser.headers["idempotency-key"] = "make-one-key"
    first = run(browser.post("/api/v1/keys", json={"label": "k"}))
    again = run(browser.post("/api/v1/keys", json={"label": "k"}))
    assert first.status_code == 201
    assert first.json()["key"] not in again.text
    assert len(run(browser.get("/api/v1/keys")).json()["items"]) == 1

"""Behind a proxy: whose word counts for where a request comes from, and where the studio is."""

import asyncio

import pytest
from starlette.datastructures import Headers

from cauldron.api.app import create_app
from cauldron.api.forwarded import Forwarded
from cauldron.api.sub_path import SubPath
from cauldron.bootstrap import Studio
from cauldron.config import Settings, load_settings
from cauldron.domain.errors import InvalidMany
from tests.api.identity_house import house
from tests.services.identity_place import PASSWORD

PROXIES = ["10.0.0.7", "172.16.0.0/12", "2001:db8:f::/48"]


def passed(layer, *, client=("10.0.0.7", 5000), scheme="http", path="/x", answer=(), **headers):
    """The scope that an application behind a layer sees, and the headers that go back."""
    seen, sent = {}, []

    async def app(scope, receive, send):
        seen.update(scope)
        await send({"type": "http.response.start", "status": 200, "headers": list(answer)})

    async def send(message):
        sent.append(message)

    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": "http", "client": client, "scheme": scheme, "headers": raw, "path": path}
    layer.app = app
    asyncio.run(layer(scope | {"raw_path": path.encode()}, None, send))
    return seen, sent[0]["headers"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return Studio(Settings(home=tmp_path_factory.mktemp("home"), trusted_proxies=PROXIES, root_path="/art/c"))


HOPS = [
    # who connects, what X-Forwarded-For says, whose request it is
    ("10.0.0.7", "203.0.113.5", "203.0.113.5"),
    ("10.0.0.7", "198.51.100.1, 203.0.113.5", "203.0.113.5"),  # the first one anybody may have written
    ("10.0.0.7", "203.0.113.5, 172.20.1.1, 172.16.0.9", "203.0.113.5"),
    ("10.0.0.7", "203.0.113.5:4711", "203.0.113.5"),
    ("10.0.0.7", "[2001:db8::5]:4711", "2001:db8::5"),
    ("10.0.0.7", "2001:db8::5", "2001:db8::5"),
    ("2001:db8:f::1", "203.0.113.5", "203.0.113.5"),
    ("::ffff:10.0.0.7", "203.0.113.5", "203.0.113.5"),
    ("10.0.0.7", "172.16.0.9", "10.0.0.7"),  # only proxies
    ("10.0.0.7", "203.0.113.5, nonsense", "10.0.0.7"),
    ("10.0.0.7", "", "10.0.0.7"),
    ("10.0.0.8", "203.0.113.5", "10.0.0.8"),  # nobody we know
    ("127.0.0.1", "203.0.113.5", "127.0.0.1"),
    ("not-an-address", "203.0.113.5", "not-an-address"),
]


@pytest.mark.parametrize(("peer", "said", "client"), HOPS)
def test_the_last_address_that_is_no_trusted_proxy_is_the_client(studio, peer, said, client):
    seen, _ = passed(Forwarded(None, studio), client=(peer, 5000), x_forwarded_for=said)
    assert seen["client"][0] == client


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.7", "https", "https"),
        ("10.0.0.7", "HTTPS", "https"),
        ("10.0.0.7", "gopher", "http"),
        ("10.0.0.8", "https", "http"),
    ],
)
def test_the_scheme_is_a_trusted_proxys_to_say(studio, peer, said, scheme):
    seen, _ = passed(Forwarded(None, studio), client=(peer, 1), x_forwarded_proto=said)
    assert seen["scheme"] == scheme


def test_nobody_is_trusted_by_default(tmp_path):
    layer = Forwarded(None, Studio(Settings(home=tmp_path)))
    seen, _ = passed(layer, client=("127.0.0.1", 1), x_forwarded_for="203.0.113.5", x_forwarded_proto="https")
    assert (seen["client"][0], seen["scheme"]) == ("127.0.0.1", "http")


@pytest.mark.parametrize("name", ["trusted_proxies", "root_path"])
def test_a_malformed_setting_is_named(name):
    wrong = {"trusted_proxies": ["my-proxy"], "root_path": "no/slash"}[name]
    with pytest.raises(InvalidMany) as caught:
        load_settings(**{name: wrong})
    assert caught.value.problems[0].path.startswith(name)


@pytest.mark.parametrize(
    ("path", "inside"),
    [("/art/c/api/v1/me", "/api/v1/me"), ("/api/v1/me", "/api/v1/me"), ("/art/cx/y", "/art/cx/y")],
)
def test_a_sub_path_is_taken_off_if_the_proxy_has_not(studio, path, inside):
    seen, _ = passed(SubPath(None, studio), path=path)
    assert (seen["path"], seen["raw_path"]) == (inside, inside.encode())


@pytest.mark.parametrize(
    ("location", "led"),
    [
        (b"/api/v1/cooks/1", b"/art/c/api/v1/cooks/1"),
        (b"https://elsewhere.example/", b"https://elsewhere.example/"),
        (b"//elsewhere.example/", b"//elsewhere.example/"),
    ],
)
def test_locations_lead_back_below_the_sub_path(studio, location, led):
    _, headers = passed(SubPath(None, studio), answer=[(b"location", location), (b"etag", b"/x")])
    assert headers == [(b"location", led), (b"etag", b"/x")]


def test_behind_a_trusted_proxy_that_ends_tls_a_session_is_secure(tmp_path, run):
    async def story():
        async with house(tmp_path, trusted_proxies=["10.0.0.7"]) as home:
            await home.owner()
            said = {"x_forwarded_proto": "https", "x_forwarded_for": "203.0.113.5", "host": "studio.example"}
            body = {"name": "ann", "password": PASSWORD}
            proxied = home.script(client="10.0.0.7", origin="https://studio.example", **said)
            answer = await proxied.post("/api/v1/session", json=body)
            assert answer.status_code == 201, answer.text
            assert "__Host-cauldron=" in answer.headers["set-cookie"]
            assert "secure" in Headers(answer.headers)["set-cookie"].lower()
            forged = home.script(client="10.0.0.9", **said)
            assert (await forged.post("/api/v1/session", json=body)).status_code == 403

    run(story())


def test_the_description_of_the_api_begins_where_the_proxy_shows_it(studio):
    assert create_app(studio).openapi()["servers"] == [{"url": "/art/c"}]

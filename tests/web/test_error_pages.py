"""What a browser is shown when a page cannot be: words and a way on, where programs get a document."""

import re

import pytest
from starlette.routing import Route

from tests.api.foundation.town import town

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Crash:
    async def __call__(self, scope, receive, send):
        raise RuntimeError("hunter2")


def is_a_page(answer, status, heading):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert re.search(r"<h1[^>]*>([^<]*)", answer.text)[1] == heading
    assert answer.headers["x-request-id"] in answer.text
    assert not re.search(r"<script|<style| on\w+=| style=", answer.text)


@pytest.mark.parametrize("path", ["/nothing", "/spells/lantern/", "/spells", "//evil.example/x", "/static"])
def test_where_nothing_is_a_browser_is_shown_a_page(path, sqlite_place, run):
    answer = run(sqlite_place.nobody.get(f"http://localhost:8420{path}", headers=BROWSER))
    is_a_page(answer, 404, "There is no such page")
    assert 'href="/"' in answer.text and "evil" not in answer.text


def test_programs_are_answered_with_a_document(sqlite_place, run):
    for path, headers in (("/nothing", {}), ("/nothing", {"accept": "*/*"}), ("/api/v1/nothing", BROWSER)):
        answer = run(sqlite_place.nobody.get(path, headers=headers))
        assert answer.headers["content-type"] == "application/problem+json", (path, headers)
        assert answer.json()["code"] == "no_such_route"
    posted = run(sqlite_place.nobody.post("/nothing", headers=BROWSER))
    assert posted.headers["content-type"] == "application/problem+json"


def test_a_page_says_what_does_not_fit_and_a_crash_says_nothing(sqlite_place, run):
    answer = run(sqlite_place.ann.get("/points?of=%3Cb%3E", headers=BROWSER))
    is_a_page(answer, 422, "This address does not fit")
    assert "query.of" in answer.text and "<b>" not in answer.text
    is_a_page(
        run(sqlite_place.nobody.get("/a%00b", headers=BROWSER)), 400, "This address cannot be understood"
    )
    wrong = run(sqlite_place.client(authorization="Bearer ck_wrong").get("/points", headers=BROWSER))
    is_a_page(wrong, 401, "Sign in to see this")
    assert wrong.headers["www-authenticate"] == "Bearer" and 'href="/sign-in"' in wrong.text
    sqlite_place.app.router.routes.insert(0, Route("/crash", Crash()))
    broken = run(sqlite_place.nobody.get("/crash", headers=BROWSER))
    is_a_page(broken, 500, "Something broke here")
    assert "hunter2" not in broken.text and "Try again" in broken.text


def test_who_asks_too_often_is_told_on_a_page_when_to_come_back(home, run):
    async def story():
        async with town(home, rate_limit_anonymous=1, root_path="/studio") as place:
            assert (await place.nobody.get("/", headers=BROWSER)).status_code == 200
            answer = await place.nobody.get("/", headers=BROWSER)
            is_a_page(answer, 429, "Too many requests")
            assert f"try again in {answer.headers['retry-after']} s" in answer.text
            assert 'href="/studio/static/' in answer.text

    run(story())

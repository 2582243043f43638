"""Every route, asked by somebody whose it is not: a foreign id is as good as none, a missing scope is told.

The table below must name every route there is; one that is missing fails the test.
"""

import re

from cauldron.api.app import RAW_ROUTES, create_app
from cauldron.api.examples import example_of
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.ports.storage import Insert
from tests.api.foundation.town import DEFINITION
from tests.hostile_rail import HostileRail

# What a route does with an id of another account: the kind of record in its path.
OWNED = {
    "GET /api/v1/collections/{collection_id}": "collection",
    "PUT /api/v1/collections/{collection_id}": "collection",
    "DELETE /api/v1/collections/{collection_id}": "collection",
    "GET /api/v1/collections/{collection_id}/count": "collection",
    "POST /api/v1/collections/{collection_id}/plan": "collection",
    "POST /api/v1/collections/{collection_id}/test": "collection",
    "POST /api/v1/collections/{collection_id}/clone": "collection",
    "POST /api/v1/collections/{collection_id}/cook/start": "collection",
    "GET /api/v1/collections/{collection_id}/cook/status": "collection",
    "GET /api/v1/cooks/{cook_id}": "cook",
    "GET /api/v1/cooks/{cook_id}/status": "cook",
    "POST /api/v1/cooks/{cook_id}/pause": "cook",
    "POST /api/v1/cooks/{cook_id}/resume": "cook",
    "POST /api/v1/cooks/{cook_id}/stop": "cook",
    "POST /api/v1/cooks/{cook_id}/refill": "cook",
    "GET /api/v1/cooks/{cook_id}/events": "cook",
    "GET /api/v1/cooks/{cook_id}/budget": "cook",
    "PUT /api/v1/cooks/{cook_id}/budget": "cook",
    "DELETE /api/v1/cooks/{cook_id}/budget": "cook",
    "POST /api/v1/collections/{collection_id}/cook/estimate": "collection",
    "GET /api/v1/payments/{payment_id}": "payment",
    "GET /api/v1/cooks/{cook_id}/pieces": "cook",
    "GET /api/v1/cooks/{cook_id}/analytics": "cook",
    "POST /api/v1/cooks/{cook_id}/review/pop": "cook",
    "POST /api/v1/cooks/{cook_id}/review/release": "cook",
    "POST /api/v1/cooks/{cook_id}/exports": "cook",
    "GET /api/v1/cooks/{id}/stream": "cook",
    "GET /api/v1/pieces/{piece_id}": "piece",
    "POST /api/v1/pieces/{piece_id}/approve": "piece",
    "POST /api/v1/pieces/{piece_id}/reject": "piece",
    "POST /api/v1/pieces/{piece_id}/cull": "piece",
    "POST /api/v1/pieces/{piece_id}/keep": "piece",
    "POST /api/v1/pieces/{piece_id}/revive": "piece",
    "POST /api/v1/pieces/{piece_id}/reset": "piece",
    "POST /api/v1/pieces/{piece_id}/reroll": "piece",
    "GET /api/v1/outputs/{output_id}": "output",
    "GET /api/v1/outputs/{output_id}/media/{port}": "output",
    "GET /api/v1/media/{digest}": "media",
    "GET /api/v1/media/{digest}/thumbnail": "media",
    "GET /api/v1/spells/{spell}": "spell",
    "PUT /api/v1/spells/{spell}": "spell",
    "DELETE /api/v1/spells/{spell}": "spell",
    "PATCH /api/v1/spells/{spell}": "spell",
    "PUT /api/v1/spells/{spell}/previews": "spell",
    "PUT /api/v1/spells/{spell}/margin": "spell",
    "GET /api/v1/spells/{spell}/diff": "spell",
    "POST /api/v1/spells/{spell}/versions/{version}/retire": "spell",
    "POST /api/v1/spells/{spell}/versions/{version}/restore": "spell",
    "POST /api/v1/spells/{spell}/publish": "spell",
    "POST /api/v1/spells/{spell}/unpublish": "spell",
    "GET /api/v1/spells/{spell}/versions": "spell",
    "GET /api/v1/spells/{spell}/versions/{version}": "spell",
    "GET /api/v1/casts/{cast_id}": "cast",
    "POST /api/v1/casts/{cast_id}/cancel": "cast",
    "GET /api/v1/casts/{id}/stream": "cast",
    "GET /api/v1/exports/{export_id}": "export",
    "POST /api/v1/exports/{export_id}/cancel": "export",
    "GET /api/v1/exports/{export_id}/download": "export",
    "GET /api/v1/callbacks/deliveries/{delivery_id}": "delivery",
    "POST /api/v1/callbacks/deliveries/{delivery_id}/retry": "delivery",
    "DELETE /api/v1/keys/{key_id}": "key",
}
# What shows or makes only what belongs to whoever asks; there is no id to be guessed.
OWN = {
    "POST /api/v1/collections", "GET /api/v1/collections", "POST /api/v1/collections/validate",
    "POST /api/v1/collections/count", "GET /api/v1/cooks", "POST /api/v1/pieces/bulk", "GET /api/v1/outputs",
    "GET /api/v1/uploads", "POST /api/v1/uploads", "GET /api/v1/spells", "POST /api/v1/spells",
    "POST /api/v1/spells/validate", "GET /api/v1/casts", "POST /api/v1/casts", "GET /api/v1/exports",
    "GET /api/v1/callbacks/secret", "POST /api/v1/callbacks/secret", "GET /api/v1/callbacks/deliveries",
    "GET /api/v1/me", "POST /api/v1/me/password", "GET /api/v1/keys", "POST /api/v1/keys",
    "POST /api/v1/payments/checkout", "GET /api/v1/payments", "GET /api/v1/points",
    "GET /api/v1/points/statement", "GET /api/v1/points/statement.csv",
    "POST /api/v1/payments/invoice", "POST /api/v1/spells/cast", "GET /api/v1/spells/{slug}/stream",
    "POST /api/v1/spells/{slug}/stream/ticket", "GET /api/v1/payments/sponsored",
    "PUT /api/v1/payments/sponsored/{account_id}", "DELETE /api/v1/payments/sponsored/{account_id}",
    "POST /api/v1/payments/prepare-spell", "POST /api/v1/payments/confirm",
    "GET /api/v1/events", "GET /api/v1/invitations", "GET /api/v1/tools", "GET /api/v1/tools/{tool_id}",
}  # fmt: skip
# What needs a scope that a creator lacks.
SCOPED = {
    "GET /metrics": "operate",
    "GET /api/v1/users": "admin",
    "GET /api/v1/users/{user_id}": "admin",
    "PATCH /api/v1/users/{user_id}": "admin",
    "POST /api/v1/invitations": "admin",
    "DELETE /api/v1/invitations/{invitation_id}": "admin",
    "POST /internal/cook/start": "act-for",
    "POST /internal/cook/pause": "act-for",
    "POST /internal/cook/resume": "act-for",
    "GET /internal/cook/status": "act-for",
    "POST /internal/cook/approve": "act-for",
    "POST /internal/cook/reject": "act-for",
    "POST /internal/casts": "act-for",
    "PUT /internal/casts/{cast_id}": "act-for",
    "PUT /internal/cooks/{cook_id}": "act-for",
    "POST /internal/stats/invalidate": "act-for",
    "POST /internal/spellCasts": "act-for",
    "PUT /internal/spellCasts/{cast_id}": "act-for",
    "PUT /internal/cookExecutions/{cook_id}": "act-for",
}
# For whoever asks; they tell nothing of anybody, or prove who asks.
OPEN = {
    "GET /healthz", "GET /readyz", "GET /api/v1/version", "POST /api/v1/setup", "POST /api/v1/session",
    "DELETE /api/v1/session", "POST /api/v1/session/guest", "POST /api/v1/invitations/accept",
    "POST /api/v1/payments/webhooks/{rail}",
}  # fmt: skip
# Published spells, for whoever has the address; the pages' own tests say what a private one answers.
PUBLIC = {
    "GET /", "GET /api", "GET /sign-in", "GET /points", "GET /static/{name}", "GET /spells/{slug}",
    "GET /spells/{slug}/og", "GET /spells/{slug}/og/image", "GET /spells/{slug}/previews/{digest}",
    "GET /api/v1/spells/{slug}/meta",
}  # fmt: skip
MISSING = "01a1f93554e27f5b1647b928a108e46b"


def test_the_table_names_every_route_and_no_other(described):
    tables = [set(OWNED), OWN, set(SCOPED), OPEN, PUBLIC]
    assert sum(map(len, tables)) == len(set().union(*tables)), "a route stands in two tables"
    assert set(described[0]) == set().union(*tables)


def test_the_document_lists_every_route_of_the_application(described, tmp_path):
    app = create_app(Studio(Settings(home=tmp_path)))
    paths = set(_paths(app.routes)) | {r.path for r in RAW_ROUTES if hasattr(r, "methods")}
    # Agents speak a protocol of their own at /mcp; its tests are beside those of live progress.
    assert paths - {"/api/v1/openapi.json", "/mcp"} == {name.partition(" ")[2] for name in described[0]}


def _paths(routes):
    for route in routes:
        inner = getattr(getattr(route, "original_router", None), "routes", None) or getattr(
            route, "routes", None
        )
        if inner:
            yield from _paths(inner)
        elif getattr(route, "methods", None):
            yield route.path


def asked(described, name, ids):
    """Method, address and body of a request of a route, with ``ids`` in its path."""
    listed, document = described
    method, _, path = name.partition(" ")
    address = re.sub(r"\{(\w+)\}", lambda m: ids.get(m[1], ids["*"]), path)
    more = {}
    body = listed[name].get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        more["json"] = example_of(body["schema"], document["components"]["schemas"])
    if name == "GET /internal/cook/status":
        more["params"] = {"collectionId": MISSING, "userId": MISSING}
    return method, address, more


async def settled(place):
    """One of everything that belongs to ann."""
    studio = place.studio
    cook = await place.cooked()
    [piece] = (await place.ann.get(f"/api/v1/cooks/{cook}/pieces", params={"limit": 1})).json()["items"]
    await place.ann.post(f"/api/v1/pieces/{piece['pieceId']}/approve")
    cast = await place.ann.post("/api/v1/casts", json={"tool": "text.card", "inputs": {"text": "x"}})
    export = await place.ann.post(f"/api/v1/cooks/{cook}/exports", json={"partial": True})
    document = {
        "cauldronSpell": 1, "slug": "mine", "name": "Mine",
        "steps": [{"id": "card", "tool": "text.card", "inputs": {"text": "x"}}], "output": {"step": "card"},
    }  # fmt: skip
    spell = await place.ann.post("/api/v1/spells", json={"document": document})
    published = await place.ann.post(
        f"/api/v1/spells/{spell.json()['spellId']}/publish", headers={"if-match": spell.headers["etag"]}
    )
    assert published.status_code == 200, published.text
    keys = (await place.ann.get("/api/v1/keys")).json()["items"]
    digest = piece["output"]["media"].removeprefix("sha256:")
    status = (await place.ann.get(f"/api/v1/cooks/{cook}/status")).json()
    found = {
        "collection": status["collectionId"],
        "cook": cook,
        "piece": piece["pieceId"],
        "output": piece["outputId"],
        "media": digest,
        "cast": cast.json()["castId"],
        "export": export.json()["exportId"],
        "spell": spell.json()["spellId"],
        "key": keys[0]["id"],
        "delivery": "d" * 32,
    }
    delivery = {
        "_id": found["delivery"], "status": "dropped", "runId": cook, "castId": None, "cookId": cook,
        "kind": "cook", "type": "cook.completed", "owner": place.users["ann"]["account"],
        "environment": "live", "url": "https://hooks.example/", "body": "{}", "attempts": 1, "answer": 500,
        "error": "answered with 500", "runAt": 0, "leaseId": None, "leaseUntil": 0, "deliveredAt": None,
        "createdAt": "2026-11-20T00:00:00.000Z",
    }  # fmt: skip
    await studio.store.commit([Insert("deliveries", delivery)])
    studio.workshop.rails["fake"] = HostileRail()
    bought = await place.ann.post("/api/v1/payments/checkout", json={"points": 5000})
    found["payment"] = bought.json()["paymentId"]
    assert all(found.values()), (found, export.text, spell.text, keys)
    assert studio is place.studio
    return found


def test_an_id_of_another_account_is_as_good_as_none(place, run, described):
    mine = run(settled(place))
    wrong = []

    async def story():
        for name, kind in OWNED.items():
            foreign, missing = mine[kind], "0" * 64 if kind == "media" else MISSING
            said = []
            for value in (foreign, missing):
                method, address, more = asked(described, name, {"*": value, "port": "image", "version": "1"})
                if method in ("PUT", "DELETE", "PATCH"):
                    more["headers"] = {"if-match": '"1"'}
                if name.startswith("PUT /api/v1/collections"):
                    more["json"] = {"definition": DEFINITION}
                said.append(await place.bob.request(method, address, **more))
            codes = [(answer.status_code, answer.json().get("code")) for answer in said]
            if codes[0] != codes[1] or codes[0][0] != 404:
                wrong.append((name, codes, said[0].text[:200]))

    async def owner_sees():
        """What is refused to bob is there: ann can look at each of them."""
        for name, kind in OWNED.items():
            if name.startswith("GET ") and not name.endswith(("/stream", "/download")):
                method, address, more = asked(
                    described, name, {"*": mine[kind], "port": "image", "version": "1"}
                )
                answer = await place.ann.request(method, address, **more)
                assert answer.status_code == 200, (name, answer.text[:200])

    run(owner_sees(), timeout_s=120)
    run(story(), timeout_s=120)
    assert not wrong
    assert run(place.ann.get(f"/api/v1/cooks/{mine['cook']}/status")).json()["state"] == "Completed"


def test_who_lacks_the_scope_is_told_which(sqlite_place, run, described):
    for name, scope in SCOPED.items():
        method, address, more = asked(described, name, {"*": MISSING})
        answer = run(sqlite_place.bob.request(method, address, **more))
        assert (answer.status_code, answer.json().get("code")) == (403, "forbidden"), (name, answer.text)
        if scope != "admin":
            assert answer.json()["details"] == {"scope": scope}, name


def test_nobody_gets_in_without_saying_who(sqlite_place, run, described):
    for name in set(described[0]) - OPEN - PUBLIC:
        method, address, more = asked(described, name, {"*": MISSING})
        if "uploads" in address:
            continue  # its bodies are looked at first
        answer = run(sqlite_place.nobody.request(method, address, **more))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), (name, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_no_answer_is_described_with_a_secret(described):
    text = str(described[1]["components"]["schemas"]).lower()
    for word in ("passwordhash", "'hash'", "leaseid", "'_v'"):
        assert word not in text

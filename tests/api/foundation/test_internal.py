"""What other services may do on behalf of somebody, and what they cannot overwrite."""

from tests.api.foundation.test_conventions import is_problem


def test_nobody_but_a_service_gets_in(place, run):
    for who in ("ann", "bob", "otto"):
        answer = run(
            place.clients[who].get("/internal/cook/status", params={"collectionId": "c", "userId": "u"})
        )
        assert is_problem(answer, 403, "forbidden")["details"] == {"scope": "act-for"}
    answer = run(place.nobody.get("/internal/cook/status", params={"collectionId": "c", "userId": "u"}))
    is_problem(answer, 401, "unauthenticated")


def test_a_user_id_counts_only_there(place, run):
    collection = run(place.collection("bob"))
    ann = place.users["ann"]["_id"]
    answer = run(place.bob.post(f"/api/v1/collections/{collection}/cook/start", json={"userId": ann}))
    is_problem(answer, 422, "invalid_request")


def test_the_routes_of_the_first_design_in_their_own_words(place, run):
    collection, user = run(place.collection("bob")), place.users["bob"]["_id"]
    both = {"collectionId": collection, "userId": user}
    started = run(place.eve.post("/internal/cook/start", json=both | {"amount": 3}))
    assert started.status_code == 202
    cook = started.json()["cookId"]
    assert run(place.eve.post("/internal/cook/pause", json=both)).json()["state"] == "Paused"
    assert run(place.eve.post("/internal/cook/resume", json=both)).json()["state"] == "Cooking"
    status = run(place.eve.get("/internal/cook/status", params=both)).json()
    assert (status["status"]["cookId"], status["summary"]["total"]) == (cook, 3)

    async def made():
        async with place.studio.running():
            await place.until("bob", f"/api/v1/cooks/{cook}/status", lambda s: s["state"] == "Completed")

    run(made())
    for verb in ("approve", "reject"):
        body = {"pieceId": f"{cook}.1", "userId": user}
        assert run(place.eve.post(f"/internal/cook/{verb}", json=body)).json()["changed"] == 1
        assert run(place.eve.post(f"/internal/cook/{verb}", json=body)).json()["changed"] == 0
    rows = run(place.bob.get(f"/api/v1/cooks/{cook}/events", params={"limit": 1000})).json()["items"]
    assert {row["actor"] for row in rows if row["type"] == "PieceReviewed"} == {user}
    ann = place.users["ann"]["_id"]
    foreign = run(place.eve.post("/internal/cook/approve", json={"pieceId": f"{cook}.1", "userId": ann}))
    is_problem(foreign, 404, "not_found")


def test_a_cast_for_somebody_is_theirs(place, run):
    user = place.users["bob"]["_id"]
    body = {"userId": user, "toolId": "text.card", "inputs": {"text": "hello"}}
    made = run(place.eve.post("/internal/casts", json=body, headers={"idempotency-key": "cast-one"}))
    assert made.status_code == 201, made.text
    cast = made.json()["cast"]
    assert cast["status"] == "running"
    assert run(place.bob.get(f"/api/v1/casts/{cast['castId']}")).status_code == 200
    is_problem(run(place.ann.get(f"/api/v1/casts/{cast['castId']}")), 404, "not_found")
    path = f"/internal/casts/{cast['castId']}"
    refused = run(place.eve.put(path, json={"userId": user, "status": "completed"}))
    is_problem(refused, 409, "refused")
    note = {"userId": user, "status": "running", "costDeltaUsd": 0.25, "generationIds": ["g1", "g2"]}
    told = run(place.eve.put(path, json=note)).json()
    assert told["cast"]["noted"] == {"times": 1, "costUsd": 0.25, "generationCount": 2}
    assert told["cast"]["costUsd"] == 0
    assert (
        run(place.eve.put(path, json={"userId": user, "status": "cancelled"})).json()["cast"]["status"]
        == "cancelled"
    )
    late = run(place.eve.put(path, json={"userId": user, "costDeltaUsd": 1})).json()
    assert late["cast"]["noted"]["costUsd"] == 1.25
    assert late["cast"]["status"] == "cancelled"


def test_a_parent_is_told_of_but_never_overwritten(place, run):
    cook, user = run(place.cooked("bob")), place.users["bob"]["_id"]
    before = run(place.bob.get(f"/api/v1/cooks/{cook}")).json()["status"]
    path = f"/internal/cooks/{cook}"
    is_problem(run(place.eve.put(path, json={"userId": user, "status": "failed"})), 409, "refused")
    is_problem(run(place.eve.put(path, json={"userId": user, "costUsd": 0})), 422, "invalid_request")
    is_problem(run(place.eve.put(path, json={"userId": user, "costDeltaUsd": -1})), 422, "invalid_request")
    note = {"userId": user, "status": "completed", "costDeltaUsd": 0.5, "generationIds": ["x"]}
    key = {"idempotency-key": "told-once"}
    for _ in range(3):
        told = run(place.eve.put(path, json=note, headers=key)).json()
    assert told["noted"] == {"times": 1, "costUsd": 0.5, "generationCount": 1}
    after = run(place.bob.get(f"/api/v1/cooks/{cook}")).json()["status"]
    facts = ("state", "generationCount", "costUsd", "costPts", "failed", "approved")
    assert [after[name] for name in facts] == [before[name] for name in facts]
    rows = run(place.bob.get(f"/api/v1/cooks/{cook}/events", params={"limit": 1000})).json()["items"]
    assert [row["payload"]["service"] for row in rows if row["type"] == "ParentNoted"] == [
        place.users["eve"]["_id"]
    ]

    async def rebuilt():
        from cauldron.services.rebuilding import Findings, Rebuilding

        found = Findings()
        studio = place.studio
        await Rebuilding(studio.store, studio.cook_streams, studio.projector).check(cook, found)
        return found

    assert run(rebuilt()).differing == 0


def test_a_note_steers_a_cook_as_its_owner_would(place, run):
    cook, user = run(place.started("bob")), place.users["bob"]["_id"]
    for wanted, state in (("paused", "Paused"), ("cooking", "Cooking"), ("stopped", "Stopped")):
        told = run(place.eve.put(f"/internal/cooks/{cook}", json={"userId": user, "status": wanted}))
        assert told.json()["status"]["state"] == state


def test_a_service_can_do_no_more_than_whom_it_stands_in_for(place, run):
    collection, otto = run(place.collection("bob")), place.users["otto"]["_id"]
    body = {"collectionId": collection, "userId": otto}
    is_problem(run(place.eve.post("/internal/cook/start", json=body)), 403, "forbidden")


def test_the_older_names_do_the_same_and_say_when_they_go(sqlite_place, run):
    user = sqlite_place.users["bob"]["_id"]
    body = {"userId": user, "toolId": "text.card", "inputs": {"text": "hello"}}
    old = run(sqlite_place.eve.post("/internal/spellCasts", json=body))
    assert old.status_code == 201
    assert old.headers["deprecation"].startswith("@")
    assert old.headers["sunset"].endswith("GMT")
    assert old.headers["link"] == '</internal/casts>; rel="successor-version"'
    new = run(sqlite_place.eve.post("/internal/casts", json=body))
    assert set(new.json()["cast"]) == set(old.json()["cast"])
    assert "deprecation" not in new.headers

"""One document at a time: what each trap of the earlier system becomes; nothing makes mapping fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.collection import parse_collection
from cauldron.domain.legacy.casts import map_cast
from cauldron.domain.legacy.collections import map_collection
from cauldron.domain.legacy.cooks import fold_run, map_cook, map_event, run_at
from cauldron.domain.legacy.early import gallery_collection, map_studio, paused_cook
from cauldron.domain.legacy.exports import map_export
from cauldron.domain.legacy.mapping import Later, SetAside, Setting, set_aside_record
from cauldron.domain.legacy.outputs import map_output
from cauldron.domain.legacy.spells import map_spell
from cauldron.domain.legacy.tallies import cast_cost, count_in_cast, new_cast
from tests.domain.legacy.test_values_and_costs import json_values

NOW = 1_773_500_000_000
SETTING = Setting(now_ms=NOW, cutoff_ms=NOW)
ID = "65f1a0000000000000000001"
COOK = "68b700000000000000000086"
START, END = "2025-08-30T10:00:00.000Z", "2025-08-30T10:00:18.250Z"
BASE = {"_id": ID, "status": "completed", "requestTimestamp": START, "responseTimestamp": END, "toolId": "t"}


def output(**fields):
    mapped = map_output(BASE | fields, SETTING)
    return mapped.records[0][1], mapped


def test_success_and_completed_are_the_same():
    assert output()[0]["status"] == output(status="success")[0]["status"] == "success"
    assert output()[0]["legacy"]["status"] == "completed"


def test_durations_are_computed_and_never_negative():
    assert output()[0]["durationMs"] == 18_250
    record, mapped = output(responseTimestamp="2025-08-30T09:59:59Z")
    assert record["durationMs"] is None
    assert "duration.negative" in mapped.notes


def test_what_was_left_unfinished_is_timed_out_with_a_reason_or_left_for_later():
    record, _ = output(status="processing", responseTimestamp=None)
    assert record["status"] == "timeout"
    assert record["error"]["code"] == "stale_at_migration"
    with pytest.raises(Later):
        output(status="processing", requestTimestamp=NOW - 1000)


@pytest.mark.parametrize(
    ("fields", "cook", "place"),
    [
        ({"cookId": COOK}, COOK, None),
        ({"cookExecutionId": COOK}, COOK, None),
        ({"metadata": {"cookId": COOK, "pieceIndex": 3}}, COOK, 3),
        ({"metadata": {"jobId": f"{COOK}:7"}}, COOK, 7),
        ({"metadata": {"jobId": f"batch-{COOK}-2"}}, COOK, 2),
        ({"metadata": {"jobId": f"{COOK}:7", "pieceIndex": 0}}, COOK, 0),
        ({"cookId": COOK, "metadata": {"cookId": ID}}, COOK, None),
        ({"metadata": {"jobId": ID}}, None, None),
        ({"metadata": {"jobId": "x:y"}}, None, None),
    ],
)
def test_a_cook_is_found_wherever_it_was_named(fields, cook, place):
    _, mapped = output(**fields)
    assert (mapped.facts.cook_id, mapped.facts.place) == (cook, place)


def test_an_execution_may_belong_to_a_cast_and_a_cook():
    record, _ = output(castId=ID, metadata={"cookId": COOK})
    assert (record["castId"], record["cookId"]) == (ID, COOK)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"reviewOutcome": "approved"}, "approved"),
        ({"reviewOutcome": "accepted"}, "approved"),
        ({"metadata": {"reviewOutcome": "rejected"}}, "rejected"),
        ({"reviewOutcome": "culled"}, "culled"),
        ({"reviewOutcome": "accepted", "metadata": {"exportExcluded": True}}, "culled"),
        ({"reviewOutcome": "accepted", "cullStatus": "exclude"}, "culled"),
        ({"reviewOutcome": "accepted", "cullStatus": "keep"}, "kept"),
        ({"cullStatus": "keep"}, "generated"),
        ({}, "generated"),
        ({"status": "failed", "reviewOutcome": "accepted"}, "failed"),
    ],
)
def test_the_state_of_a_piece_follows_both_rounds(fields, state):
    fields = {**fields, "metadata": {"cookId": COOK, **fields.get("metadata", {})}}
    _, mapped = output(**fields)
    assert mapped.records[1][1]["state"] == mapped.facts.state == state


def test_steps_are_no_pieces():
    _, mapped = output(cookId=COOK, deliveryStrategy="spell_step")
    assert len(mapped.records) == 1 and mapped.facts.state == ""


@pytest.mark.parametrize(
    ("fields", "cutoff", "status"),
    [
        ({"notificationPlatform": "telegram", "deliveryStatus": "pending"}, NOW, "skipped"),
        ({"notificationPlatform": "telegram", "deliveryStatus": "processing"}, NOW, "skipped"),
        ({"notificationPlatform": "telegram", "deliveryStatus": "pending"}, 0, "pending"),
        ({"notificationPlatform": "cook", "deliveryStatus": "pending"}, 0, "skipped"),
        ({"notificationPlatform": "telegram"}, NOW, "skipped"),
        ({}, 0, "skipped"),
        ({"deliveryStatus": "failed"}, 0, "dropped"),
        ({"deliveryStatus": "migrated"}, 0, "skipped"),
        ({"deliveryStatus": "sent"}, 0, "sent"),
    ],
)
def test_old_results_are_never_told_again(fields, cutoff, status):
    mapped = map_output(BASE | fields, Setting(now_ms=NOW, cutoff_ms=cutoff))
    assert mapped.records[0][1]["deliveryStatus"] == status


def test_the_final_of_a_cast_does_not_count_its_steps_again():
    tally = new_cast()
    steps = [
        map_output(
            BASE
            | {"_id": f"{ID[:-1]}{n}", "castId": COOK, "costUsd": "0.01", "deliveryStrategy": "spell_step"},
            SETTING,
        ).facts
        for n in range(2)
    ]
    final = map_output(BASE | {"castId": COOK, "costUsd": "0.025", "toolId": "spell-x"}, SETTING).facts
    own = [count_in_cast(tally, facts, output_id=str(n)).micro_usd for n, facts in enumerate([*steps, final])]
    assert own == [10_000, 10_000, 5_000]
    assert cast_cost(tally) == 25_000
    late = count_in_cast(tally, steps[0], output_id="late")
    assert late.correction == ("2", 0)
    assert cast_cost(tally) == 30_000


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.none() | st.integers(0, 10**6)), max_size=8))
def test_what_the_parts_of_a_cast_cost_is_what_the_cast_costs(parts):
    tally, own, facts = new_cast(), {}, map_output(BASE | {"castId": COOK}, SETTING).facts
    for number, (role, micro) in enumerate(parts):
        found = count_in_cast(tally, facts._replace(role=role, micro_usd=micro), output_id=str(number))
        own[str(number)] = found.micro_usd
        if found.correction is not None:
            own[found.correction[0]] = found.correction[1]
    assert sum(own.values()) == cast_cost(tally)
    finals = [micro or 0 for role, micro in parts if role == 2]
    assert cast_cost(tally) >= max([0, *finals])


def test_a_cast_left_running_is_failed_with_a_reason():
    record = map_cast({"_id": ID, "status": "running", "startedAt": START}, None, SETTING).records[0][1]
    assert (record["status"], record["error"]["code"]) == ("failed", "stale_at_migration")
    with pytest.raises(Later):
        map_cast({"_id": ID, "status": "running", "startedAt": NOW - 5}, None, SETTING)


def test_a_cook_left_running_or_paused_is_stopped_with_a_reason():
    for state in ("running", "paused"):
        (_, cook), (_, status) = map_cook(
            {"_id": COOK, "status": state, "startedAt": START}, None, SETTING
        ).records
        assert cook["status"] == status["state"] == "Stopped"
        assert status["pauseReason"].endswith("_at_migration")


def test_a_resumed_cook_names_the_one_it_went_on_with():
    doc = {"_id": COOK, "status": "completed", "startedAt": START}
    record = map_cook(doc, None, SETTING, before={"id": "first", "run": "root"}).records[0][1]
    assert (record["continues"], record["runId"]) == ("first", "root")


def test_events_of_2025_tell_which_cook_was_on():
    runs = []
    for kind, ts, more in [
        ("CookStarted", START, {"cookId": COOK, "totalSupply": 50}),
        ("CookPaused", END, {}),
        ("CookStarted", "2025-08-31T10:00:00Z", {"cookId": ID, "batchSize": 5}),
        ("CookCompleted", "2025-08-31T11:00:00Z", {}),
    ]:
        fold_run(runs, {"type": kind, "ts": ts, "userId": "u", "collectionId": "c", **more}, SETTING)
    assert [(r["id"], r["state"], r["target"]) for r in runs] == [(COOK, "paused", 50), (ID, "Completed", 5)]
    assert run_at(runs, runs[0]["at"] + 1) == COOK
    assert run_at(runs, runs[1]["end"]) == ID
    assert run_at([], 5) is None


def collection(**fields):
    mapped = map_collection(
        {"collectionId": "c-1", "name": "Foxes", "totalSupply": 5, "toolId": "text.card", **fields},
        SETTING,
        spells={ID: "foxy"},
    )
    return mapped.records[0][1], mapped.notes


def test_three_dialects_of_traits_give_the_same_categories():
    wanted = [
        {
            "name": "Hat",
            "options": [{"name": "Crown", "value": "a crown", "weight": 2}, {"name": "Cap", "weight": 0.5}],
        }
    ]
    trees = [
        {
            "config": {
                "traitTree": [
                    {
                        "name": "Hat",
                        "traits": [
                            {"name": "Crown", "value": "a crown", "rarity": 2},
                            {"name": "Cap", "rarity": 0},
                        ],
                    }
                ]
            }
        },
        {
            "config": {
                "traitTypes": [
                    {
                        "title": "Hat",
                        "traits": [{"name": "Crown", "prompt": "a crown", "rarity": "2"}, {"name": "Cap"}],
                    }
                ]
            }
        },
        {
            "config": {
                "traitTree": [
                    {
                        "title": "Hat",
                        "traits": [
                            {"title": "Crown", "prompt": "a crown", "rarity": 2.0},
                            {"title": "Cap", "rarity": None},
                        ],
                    }
                ]
            }
        },
        {"config": {"traitTypes": [{"title": "Hat", "traits": ["Crown|a crown|2", "Cap"]}]}},
    ]
    for tree in trees:
        record, _ = collection(**tree)
        assert record["definition"]["categories"] == wanted
        assert not record["draft"], record["problems"]


def test_a_tool_beats_a_stale_spell_and_a_spell_is_named_by_its_slug():
    tree = {"config": {"traitTree": [{"name": "A", "traits": [{"name": "x"}]}]}}
    assert collection(**tree, spellId=ID)[0]["definition"]["generator"]["tool"] == "text.card"
    assert collection(**tree, spellId=ID, toolId=None)[0]["definition"]["generator"]["spell"] == "foxy"


def test_names_that_would_not_do_are_changed_with_their_placeholders():
    tree = [
        {"name": "Back[ground]/A", "traits": [{"name": "x/y"}]},
        {"name": "tag", "traits": [{"name": "x"}]},
    ]
    overrides = {"prompt": "[[tag]] [[Nothing]]", "bad key!": 1}
    record, notes = collection(config={"traitTree": tree, "paramOverrides": overrides})
    assert not record["draft"], record["problems"]
    assert record["definition"]["generator"]["inputs"]["prompt"] == "[[tag trait]] \\[[Nothing]]"
    assert "traits.placeholder_names_nothing" in notes


def test_a_collection_without_generator_or_supply_is_a_draft_that_says_so():
    record, _ = collection(toolId=None, totalSupply=None)
    assert record["draft"]
    assert {p["path"] for p in record["problems"]} >= {"generator", "supply", "categories"}


def test_an_optional_section_of_a_master_prompt_makes_a_draft():
    config = {"traitTypes": [{"title": "Hat", "traits": [{"name": "Crown"}]}]}
    plain, _ = collection(config=config | {"masterPrompt": "a fox with [Hat]"})
    assert plain["definition"]["generator"]["inputs"]["prompt"] == "a fox with [[Hat]]"
    record, _ = collection(config=config | {"masterPrompt": "a fox [with [Hat] on]{Hood}"})
    assert record["problems"][0]["code"] == "optional_section"


def test_a_spell_is_private_unless_it_said_otherwise():
    steps = [{"id": "a", "toolIdentifier": "text.card"}]
    seen = [
        map_spell({"_id": ID, "name": "S", "steps": steps, **said}, SETTING).records[0][1]["visibility"]
        for said in ({}, {"isPublic": True}, {"visibility": "listed"}, {"visibility": "unlisted"})
    ]
    assert seen == ["private", "public", "public", "unlisted"]


def test_a_spell_keeps_its_wires_and_overrides_win():
    doc = {
        "_id": ID,
        "name": "Chain",
        "steps": [
            {
                "id": "1712345",
                "toolIdentifier": "Flux Pro",
                "parameterMappings": {"w": {"type": "static", "value": 3}},
                "parameterOverrides": {"w": 4},
            },
            {
                "id": "b",
                "toolId": "cut",
                "parameterMappings": {
                    "image": {"type": "nodeOutput", "nodeId": "1712345", "outputKey": "image"}
                },
            },
        ],
        "connections": [{"fromWindowId": "b", "toWindowId": "1712345"}],
        "exposedInputs": [{"nodeId": "1712345", "paramKey": "prompt"}],
    }
    mapped = map_spell(doc, SETTING)
    draft = mapped.records[0][1]["draft"]
    one, two = draft["steps"]
    assert (one["tool"], one["inputs"]) == ("flux-pro", {"w": 4, "prompt": {"input": "prompt"}})
    assert two["inputs"]["image"] == {"step": one["id"], "output": "image"}
    assert "spell.order_differs" in mapped.notes
    with pytest.raises(SetAside):
        map_spell({"_id": ID, "name": "empty"}, SETTING)


def test_a_gallery_piece_keeps_its_number_and_decision():
    doc = {
        "_id": ID,
        "collectionId": 8123456789012,
        "userId": 123456789,
        "status": "pending_regeneration",
        "files": [{"url": "https://x.example.org/1.png"}],
        "traits": {"Hat": {"name": "Crown"}},
        "generation": {"timestamp": 1_700_000_000_000, "duration": 900},
        "export": {"number": 7},
    }
    (_, made), (_, piece) = map_studio(doc, SETTING).records
    assert (piece["state"], piece["token"], piece["traits"]) == ("rejected", 7, {"Hat": "Crown"})
    assert (made["owner"], made["durationMs"], made["cookId"]) == (
        "telegram:123456789",
        900,
        "studio-8123456789012",
    )


def _reads(doc):
    """Every mapper on one document; whatever it is, only these two may come out."""
    mappers = [
        lambda: map_output(doc, SETTING),
        lambda: map_cast(doc, None, SETTING),
        lambda: map_cook(doc, None, SETTING),
        lambda: map_event(doc, SETTING, cook_id=None),
        lambda: map_collection(gallery_collection(doc), SETTING, spells={}),
        lambda: map_spell(doc, SETTING),
        lambda: map_studio(doc, SETTING),
        lambda: map_export(doc, SETTING),
        lambda: paused_cook(doc, SETTING),
    ]
    for mapper in mappers:
        try:
            mapper()
        except (SetAside, Later):
            set_aside_record("x", "1", doc, reason="r", detail="d")


fields = st.sampled_from(
    [
        "_id",
        "status",
        "metadata",
        "config",
        "traitTree",
        "traitTypes",
        "traits",
        "name",
        "title",
        "value",
        "prompt",
        "rarity",
        "generator",
        "steps",
        "id",
        "parameterMappings",
        "parameterOverrides",
        "exposedInputs",
        "connections",
        "collectionId",
        "userId",
        "events",
        "type",
        "ts",
        "costUsd",
        "requestPayload",
        "responsePayload",
        "requestTimestamp",
        "errorDetails",
        "jobId",
        "cookId",
        "files",
        "generation",
        "export",
        "totalSupply",
        "paramOverrides",
        "masterPrompt",
        "nodeId",
        "paramKey",
        "toolIdentifier",
        "start",
        "end",
        "step",
        "zeroPad",
        "mode",
    ]
)
odd = st.recursive(
    json_values
    | st.sampled_from(["completed", "success", "running", ID, START, 8123456789012, "[[A]]", 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=25,
)


@given(doc=st.dictionaries(fields, odd, max_size=12))
def test_no_document_makes_a_mapper_fail(doc):
    _reads({"_id": ID, "status": "completed", "collectionId": "c", **doc})
    _reads(doc)


@given(doc=st.dictionaries(fields, odd, max_size=12))
def test_a_collection_that_is_no_draft_can_be_parsed(doc):
    base = {"collectionId": "c", "name": "N", "totalSupply": 3, "toolId": "t"}
    record = map_collection(base | doc | {"collectionId": "c"}, SETTING, spells={}).records[0][1]
    if not record["draft"]:
        parse_collection(record["definition"])

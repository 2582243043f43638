"""The published schemas of our records: sound, strict, compiled faithfully, and true of what is written."""

import asyncio
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.events import EVENT_TYPES
from cauldron.domain.generation import DELIVERY_STATUSES, STATUSES
from cauldron.domain.json_schema import compile_schema
from cauldron.services.auditing import SCHEMAS
from cauldron.services.formats import load_schema
from tests.contracts.conftest import STORES
from tests.kitchen import Scripted, failure, step
from tests.upkeep import ALL_TABLES, World, cook_and_cast, ref

ROOT = Path(__file__).parents[2]
NAMES = sorted(set(SCHEMAS.values()))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Schema name -> records as the machinery writes them."""
    folder = tmp_path_factory.mktemp("written")

    async def story():
        engine = STORES["sqlite"](folder)
        world = World(await engine.open(*ALL_TABLES), folder)
        await cook_and_cast(world)
        found = {name: [] for name in NAMES}
        for table, name in SCHEMAS.items():
            for doc in await world.store.find(table, {}):
                doc.pop("_v")
                found[name].append(doc)
        await engine.close()
        return found

    return asyncio.run(story())


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_sound_strict_and_covered_by_the_compiled_check(name):
    schema = load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    compile_schema(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(schema["properties"])
    assert all(part.get("description") for part in schema["properties"].values())


@given(st.data())
def test_compiled_and_full_check_agree_on_spoilt_records(written, data):
    name = data.draw(st.sampled_from([name for name in NAMES if written[name]]))
    record = dict(data.draw(st.sampled_from(written[name])))
    for _ in range(data.draw(st.integers(0, 2))):
        field = data.draw(st.sampled_from([*load_schema(name)["properties"], "surprise"]))
        if data.draw(st.booleans()):
            record.pop(field, None)
        else:
            wrong = st.sampled_from([None, 0, -1, 1.5, "", "x", [], [1], {}, {"code": 1}, True])
            record[field] = data.draw(wrong)
    schema = load_schema(name)
    assert compile_schema(schema)(record) == jsonschema.Draft202012Validator(schema).is_valid(record)


def test_words_in_the_schemas_are_those_of_the_code():
    events = load_schema("commits")["properties"]["events"]["items"]["properties"]["type"]["enum"]
    assert events == list(EVENT_TYPES)
    outputs = load_schema("generationOutputs")["properties"]
    assert tuple(outputs["status"]["enum"]) == STATUSES
    assert tuple(outputs["deliveryStatus"]["enum"]) == DELIVERY_STATUSES


def test_every_output_of_a_retried_piece_of_a_spell_names_a_cast_that_is_there(run, tmp_path):
    async def story():
        engine = STORES["sqlite"](tmp_path)
        world = World(await engine.open(*ALL_TABLES), tmp_path)
        await cook_and_cast(world)  # for its collection, plan and snapshot
        made = ref(world.media["a-piece-1"])

        def script(job):
            if job["attempt"] == 1:
                return failure(job, retryable=True) | {"steps": [step(job, status="failed", outputs={})]}
            done = step(job, outputs={"image": made})
            return {"status": "success", "steps": [done], "output": made, "durationMs": 1}

        blobs = {"plan": world.media["a-plan"], "config_hash": world.media["a-recipe"]}
        generator = {"kind": "spell", "id": "postcard"}
        k = world.k
        await k.start(2, cook_id="spelled", collection_id="k-a", generator=generator, **blobs)
        async with k.running(k.owner(), k.worker(Scripted(script)), k.sweeper()):
            await k.until_state("Completed", cook_id="spelled")
        casts = [d for d in await world.store.find("casts", {}) if d["cookId"] == "spelled"]
        assert sorted(cast["status"] for cast in casts) == ["completed"] * 2 + ["failed"] * 2
        assert await world.faults() == {}
        await engine.close()

    run(story())


def test_nothing_but_erasure_and_clean_up_changes_the_log():
    allowed = {"erasing.py", "cleaning.py", "storage.py", "sqlite_sql.py", "mongo_statements.py"}
    used = {
        path.name
        for path in (ROOT / "cauldron").rglob("*.py")
        if re.search(r"\b(Redact|Expunge)\b", path.read_text(encoding="utf-8"))
    }
    assert used <= allowed

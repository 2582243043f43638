"""The ExecutionClient: one tool call, one record; every failure a result; results cached by content."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import NotFound, StorageFull, Unavailable
from cauldron.domain.generation import Parents, output_document
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import Snapshot, snapshot_of_tool, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.tool import Costing, Kind, Port, Tool
from cauldron.persistence.tables import TABLES
from cauldron.ports.storage import Insert
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.execution import ExecutionClient
from cauldron.services.recipes import Recipes, recipe_bytes
from tests.kitchen import SteppingClock

PAINT = Tool(
    id="test.paint",
    version="1.0.0",
    display_name="Paint",
    description="",
    adapter="fake",
    timeout_s=0.1,
    costing=Costing(amount_micro_usd=40),
    inputs=(
        Port(name="text", kind=Kind.TEXT, required=True),
        Port(name="copies", kind=Kind.INTEGER, default=1),
    ),
    outputs=(Port(name="image", kind=Kind.IMAGE), Port(name="note", kind=Kind.TEXT)),
)


@dataclass
class Runner:
    """A tool's adapter: ``answer`` is a result, an exception to raise, or a function of the call."""

    answer: Any = None
    blobs: Any = None
    calls: list[ToolCall] = field(default_factory=list)

    async def submit(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer(call) if callable(self.answer) else self.answer
        digest = await self.blobs.put(repr(sorted(call.inputs.items())).encode())
        image = {"media": f"sha256:{digest}", "mime": "image/png", "sizeBytes": 1}
        return ToolResult(status="success", outputs={"image": image, "note": "done"}, duration_ms=1500)

    async def poll(self, call):
        return await self.submit(call)

    async def cancel(self, call):
        pass

    def parse_webhook(self, headers, body):
        return {}

    def estimate(self, call):
        return 0

    async def close(self):
        pass


class Bench:
    """An ExecutionClient over real stores, with one fake adapter."""

    def __init__(self, folder, *, answer=None, clock=None):
        self.store, self.blobs = SqliteStore(folder / "store.db"), FsBlobs(folder / "blobs")
        self.runner = Runner(answer, self.blobs)
        self.clock = clock or SteppingClock()
        self.client = self.fresh()

    def fresh(self) -> ExecutionClient:
        """As another process would have it: nothing remembered."""
        return ExecutionClient(
            store=self.store,
            recipes=Recipes(self.blobs),
            runners={"fake": self.runner},
            blobs=self.blobs,
            clock=self.clock,
        )

    async def __aenter__(self) -> "Bench":
        await self.store.open(TABLES)
        return self

    async def __aexit__(self, *exc) -> None:
        await self.store.close()

    async def job(self, tool: Tool = PAINT, **inputs) -> dict[str, Any]:
        config = await self.blobs.put(recipe_bytes(snapshot_of_tool(tool), None))
        return {"_id": "j1", "configHash": config, "attempt": 2, "inputs": {"text": "hello"} | inputs}

    async def record(self, result) -> None:
        """What the projection of this result writes."""
        parents = Parents(owner="ann", visibility="private", environment="test", notification_platform="none")
        docs = [output_document(f"o{i}", step, parents, seq=1) for i, step in enumerate(result["steps"])]
        await self.store.commit([Insert("generationOutputs", doc) for doc in docs])


def test_a_success_has_typed_outputs_a_record_and_a_cost(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            result = await bench.client.run(await bench.job(copies=3))
            assert result["status"] == "success"
            assert result["output"]["mime"] == "image/png"
            assert result["outputs"]["note"] == "done"
            [step] = result["steps"]
            assert (step["toolId"], step["toolVersion"], step["attempt"]) == ("test.paint", "1.0.0", 2)
            assert step["inputs"] == {"text": "hello", "copies": 3}
            assert (step["costMicroUsd"], step["costSource"]) == (40, "tariff")

    run(story())


@pytest.mark.parametrize(
    ("answer", "code", "retryable", "status"),
    [
        (ToolResult(status="failed", error_code="tool_error", error="no"), "tool_error", False, "failed"),
        (
            ToolResult(status="failed", error_code="busy", error="later", retryable=True),
            "busy",
            True,
            "failed",
        ),
        (ToolResult(status="failed"), "failed", False, "failed"),
        (
            ToolResult(status="timeout", error_code="timeout", error="slow", retryable=True),
            "timeout",
            True,
            "timeout",
        ),
        (ToolResult(status="cancelled", error="stopped"), "cancelled", False, "cancelled"),
        (StorageFull("no room"), "storage_full", True, "failed"),
        (Unavailable("no answer"), "unavailable", True, "failed"),
        (NotFound("no such blob"), "not_found", False, "failed"),
        (RuntimeError("a bug"), "internal_error", True, "failed"),
    ],
    ids=str,
)
def test_every_failure_is_a_result_with_a_record(run, tmp_path, answer, code, retryable, status):
    async def story():
        async with Bench(tmp_path, answer=answer) as bench:
            result = await bench.client.run(await bench.job())
            assert (result["status"], result["code"], result["retryable"]) == ("failed", code, retryable)
            assert result["error"]["code"] == code
            assert result["error"]["message"]
            [step] = result["steps"]
            assert step["status"] == status
            assert step["error"]["code"] == code
            assert "cacheKey" not in step

    run(story())


def test_a_runner_that_does_not_answer_is_given_up(run, tmp_path):
    async def story():
        async def never(call):
            await asyncio.sleep(60)

        async with Bench(tmp_path) as bench:
            bench.runner.submit = never
            bench.client.grace_s = 0.05
            result = await bench.client.run(await bench.job())
            assert (result["code"], result["retryable"]) == ("timeout", True)

    run(story())


def test_time_in_the_line_of_the_local_pool_is_not_counted(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            bench.client.runners = {"local": bench.runner}

            async def queued(call):
                await asyncio.sleep(0.2)
                return ToolResult(status="success", outputs={"note": "late, but not too late"})

            bench.runner.submit = queued
            tool, bench.client.grace_s = replace(PAINT, adapter="local"), 0.0
            assert (await bench.client.run(await bench.job(tool)))["status"] == "success"

    run(story())


def test_an_adapter_that_is_not_set_up_is_the_tools_fault_not_the_pieces(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            result = await bench.client.run(await bench.job(replace(PAINT, adapter="elsewhere")))
            assert (result["code"], result["retryable"]) == ("tool_unavailable", False)

    run(story())


def test_a_snapshot_that_is_gone_is_named_so(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            result = await bench.client.run(await bench.job() | {"configHash": "0" * 64})
            assert result["code"] == "snapshot_missing"

    run(story())


@pytest.mark.parametrize(
    ("inputs", "where"), [({"text": 7}, "text"), ({"colour": "red"}, "colour"), ({"copies": "x"}, "copies")]
)
def test_inputs_that_do_not_fit_are_refused_before_anything_runs(run, tmp_path, inputs, where):
    async def story():
        async with Bench(tmp_path) as bench:
            result = await bench.client.run(await bench.job(**inputs))
            assert (result["code"], result["retryable"], bench.runner.calls) == ("invalid_inputs", False, [])
            assert where in result["error"]["message"]

    run(story())


def test_a_deterministic_result_is_computed_once(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            first = await bench.client.run(await bench.job())
            again = await bench.client.run(await bench.job())
            assert len(bench.runner.calls) == 1
            assert again["outputs"] == first["outputs"]
            [step] = again["steps"]
            assert (step["cached"], step["costMicroUsd"]) == (True, 0)
            other = await bench.client.run(await bench.job(copies=2))
            assert len(bench.runner.calls) == 2
            assert other["output"] != first["output"]

    run(story())


def test_another_process_finds_it_in_the_records(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            first = await bench.client.run(await bench.job())
            await bench.record(first)
            again = await bench.fresh().run(await bench.job())
            assert len(bench.runner.calls) == 1
            assert again["steps"][0]["cached"]
            assert again["outputs"]["image"]["media"] == first["outputs"]["image"]["media"]

    run(story())


@pytest.mark.parametrize("who", ["same process", "another process"])
def test_a_result_whose_picture_is_gone_is_made_again(run, tmp_path, who):
    async def story():
        async with Bench(tmp_path) as bench:
            first = await bench.client.run(await bench.job())
            await bench.record(first)
            await bench.blobs.delete(first["output"]["media"].removeprefix("sha256:"))
            client = bench.client if who == "same process" else bench.fresh()
            again = await client.run(await bench.job())
            assert len(bench.runner.calls) == 2
            assert "cached" not in again["steps"][0]
            assert await bench.blobs.size(again["output"]["media"].removeprefix("sha256:")) is not None

    run(story())


def test_what_is_not_deterministic_is_never_cached(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            tool = replace(PAINT, deterministic=False)
            for _ in range(2):
                result = await bench.client.run(await bench.job(tool))
            assert len(bench.runner.calls) == 2
            assert "cacheKey" not in result["steps"][0]

    run(story())


def test_a_failure_is_never_cached(run, tmp_path):
    async def story():
        async with Bench(tmp_path, answer=ToolResult(status="failed", error="no")) as bench:
            await bench.record(await bench.client.run(await bench.job()))
            bench.runner.answer = None
            for client in (bench.client, bench.fresh()):
                result = await client.run(await bench.job())
                assert result["output"]["mime"] == "image/png"

    run(story())


def test_another_version_of_the_tool_is_another_result(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            await bench.client.run(await bench.job())
            await bench.client.run(await bench.job(replace(PAINT, version="1.0.1")))
            assert len(bench.runner.calls) == 2

    run(story())


@pytest.mark.parametrize(
    ("costing", "reported", "cost", "source"),
    [
        (Costing(amount_micro_usd=40), None, 40, "tariff"),
        (Costing(model="per_second", amount_micro_usd=1000), None, 1500, "tariff"),
        (Costing(model="per_unit", amount_micro_usd=7, unit="copies"), None, 21, "tariff"),
        (Costing(amount_micro_usd=40, source="unknown"), None, 40, "unknown"),
        (Costing(amount_micro_usd=40), 12_345, 12_345, "reported"),
    ],
    ids=["static", "per second", "per unit", "unknown", "reported"],
)
def test_costs_follow_the_model(run, tmp_path, costing, reported, cost, source):
    async def story():
        outputs = {"note": "x"}
        answer = ToolResult(status="success", outputs=outputs, duration_ms=1500)
        if reported:
            answer = replace(answer, cost_micro_usd=reported, cost_source="reported")
        async with Bench(tmp_path, answer=answer) as bench:
            result = await bench.client.run(await bench.job(replace(PAINT, costing=costing), copies=3))
            [step] = result["steps"]
            assert (step["costMicroUsd"], step["costSource"]) == (cost, source)

    run(story())


def two_steps() -> Snapshot:
    shout = replace(PAINT, id="test.shout", display_name="Shout")
    document = {
        "cauldronSpell": 1,
        "name": "Two steps",
        "steps": [
            {"id": "first", "tool": "test.paint", "inputs": {"text": "a"}},
            {"id": "second", "tool": "test.shout", "inputs": {"text": {"step": "first", "output": "note"}}},
        ],
        "output": {"step": "second", "output": "image"},
    }
    return take_snapshot(check_document(document, ToolSet([PAINT, shout]), source="test"))


def test_a_step_gets_what_the_step_before_made(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            config = await bench.blobs.put(recipe_bytes(two_steps(), None))
            result = await bench.client.run({"_id": "j", "configHash": config, "attempt": 1})
            assert [s["step"] for s in result["steps"]] == ["first", "second"]
            assert bench.runner.calls[1].inputs["text"] == "done"
            assert [c.key for c in bench.runner.calls] == ["j:first", "j:second"]
            assert result["output"]["mime"] == "image/png"

    run(story())


def test_a_step_after_one_that_failed_is_not_run(run, tmp_path):
    async def story():
        answer = ToolResult(status="failed", error_code="tool_error", error="no")
        async with Bench(tmp_path, answer=answer) as bench:
            config = await bench.blobs.put(recipe_bytes(two_steps(), None))
            result = await bench.client.run({"_id": "j", "configHash": config, "attempt": 1})
            assert [s["step"] for s in result["steps"]] == ["first"]
            assert len(bench.runner.calls) == 1
            assert result["error"]["message"].startswith("first")

    run(story())


def test_a_clock_set_back_gives_no_negative_durations(run, tmp_path):
    async def story():
        clock = SteppingClock()

        def answer(call):
            clock.pass_ms(-3_600_000)
            return ToolResult(status="success", outputs={"note": "x"})

        async with Bench(tmp_path, answer=answer, clock=clock) as bench:
            result = await bench.client.run(await bench.job())
            [step] = result["steps"]
            assert step["endMs"] >= step["startMs"]
            assert result["durationMs"] >= 0

    run(story())


def test_a_hundred_jobs_that_begin_at_once_read_their_snapshot_once(run, tmp_path):
    async def story():
        async with Bench(tmp_path) as bench:
            job, reads = await bench.job(), 0
            inner = bench.blobs.get

            class Counting:
                async def get(self, digest):
                    nonlocal reads
                    reads += 1
                    await asyncio.sleep(0.01)
                    return await inner(digest)

            recipes = Recipes(Counting())
            await asyncio.gather(*(recipes.recipe(job["configHash"]) for _ in range(100)))
            assert reads == 1

    run(story())


def test_what_is_remembered_is_bounded(run, tmp_path):
    async def story():
        async with Bench(tmp_path, answer=ToolResult(status="success", outputs={"note": "x"})) as bench:
            for n in range(2_100):
                bench.client._keep(str(n), {"note": "x"})
            assert len(bench.client._results) == 2_000

    run(story())

"""The ExecutionClient: every tool run of every spell, piece and cast goes through here.

It resolves a step's inputs, looks for an earlier result of the same content,
runs the tool under its deadline and writes down what happened. Failures are
results; nothing here raises for what a tool did.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from cauldron.domain.errors import CauldronError, InvalidMany, NotFound
from cauldron.domain.events import StepRecord
from cauldron.domain.hashing import content_hash
from cauldron.domain.media import is_media
from cauldron.domain.snapshot import PlannedStep, check_exposed
from cauldron.domain.step_inputs import step_inputs
from cauldron.domain.tool import Tool, check_inputs
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Doc, Store
from cauldron.ports.system import Clock
from cauldron.ports.tools import ToolCall, ToolResult, ToolRunner
from cauldron.services.recipes import Recipe, Recipes

log = structlog.get_logger("cauldron.execution")
KEPT_RESULTS = 2_000
TRANSIENT = ("unavailable", "storage_full")  # errors that pass by themselves
OWN_CLOCK = frozenset({"local"})  # adapters that count the time-out from the start of the work
Steps = list[StepRecord]


@dataclass(slots=True)
class ExecutionClient:
    """Runs jobs of cooks and casts."""

    store: Store
    recipes: Recipes
    runners: Mapping[str, ToolRunner]  # adapter name -> runner
    blobs: BlobStore
    clock: Clock
    grace_s: float = 5.0  # beyond a tool's time-out, before a runner that has not answered is given up
    _results: OrderedDict[str, Mapping[str, Any]] = field(default_factory=OrderedDict)

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """Make one piece or carry out one cast; see ``services.working.Executor``."""
        start = self.clock()
        steps: Steps = []
        try:
            recipe = await self.recipes.recipe(job["configHash"])
            inputs = await self._inputs(recipe, job)
            outputs = await self._walk(recipe, inputs, job, steps)
        except StepFailed as failure:
            return failure.result | {"steps": steps, "durationMs": max(0, self.clock() - start)}
        except NotFound as missing:
            return _failure("snapshot_missing", missing.message, steps)
        except InvalidMany as bad:
            return _failure("invalid_inputs", f"{bad.problems[0].path}: {bad.problems[0].message}", steps)
        except CauldronError as failure:
            retryable = failure.code in TRANSIENT
            return _failure(failure.code, failure.message, steps, retryable=retryable)
        except Exception as crash:
            log.exception("execution crashed", job=job["_id"])
            message = f"{type(crash).__name__}: {crash}"[:500]
            return _failure("internal_error", message, steps, retryable=True)
        return {
            "status": "success",
            "steps": steps,
            "outputs": outputs,
            "output": _main(outputs, recipe),
            "durationMs": max(0, self.clock() - start),
        }

    async def _inputs(self, recipe: Recipe, job: Doc) -> dict[str, Any]:
        if recipe.collection is None:
            return check_exposed(recipe.snapshot, job.get("inputs") or {})
        selection = job["traitSelection"]
        wanted = await self.recipes.piece_inputs(recipe, selection["plan"], selection["slot"])
        return check_exposed(recipe.snapshot, wanted)

    async def _walk(
        self, recipe: Recipe, inputs: Mapping[str, Any], job: Doc, steps: Steps
    ) -> Mapping[str, Any]:
        results: dict[str, Mapping[str, Any]] = {}
        for step in recipe.steps:
            wanted = step_inputs(recipe.snapshot, step.id, inputs=inputs, results=results)
            record = await self._step(step, check_inputs(step.tool, wanted), job)
            steps.append(record)
            if record["status"] != "success":
                raise StepFailed(step, record)
            results[step.id] = record["outputs"]
        return results[recipe.snapshot.output_step]

    async def _step(self, step: PlannedStep, inputs: dict[str, Any], job: Doc) -> StepRecord:
        tool = step.tool
        key = cache_key(tool, inputs) if tool.deterministic else None
        start = self.clock()
        found = await self._cached(key) if key else None
        if found is not None:
            result, cached = ToolResult(status="success", outputs=found, cost_source="tariff"), True
        else:
            result, cached = await self._execute(tool, inputs, f"{job['_id']}:{step.id}"), False
        if key and result.status == "success":
            self._keep(key, result.outputs)
        span = (start, max(start, self.clock()))  # the clock may have been set back
        return _record(step, inputs, result, span=span, key=key, cached=cached, job=job)

    async def _execute(self, tool: Tool, inputs: Mapping[str, Any], key: str) -> ToolResult:
        runner = self.runners.get(tool.adapter)
        if runner is None:
            message = f"no runner for tools of the kind {tool.adapter!r} is set up here"
            return ToolResult(status="failed", error_code="tool_unavailable", error=message)
        call = ToolCall(tool=tool, inputs=inputs, key=key)
        try:
            limit_s = None if tool.adapter in OWN_CLOCK else tool.timeout_s + self.grace_s
            async with asyncio.timeout(limit_s):
                result = await runner.submit(call)
        except TimeoutError:
            message = f"no answer within {tool.timeout_s:g} s"
            return ToolResult(status="timeout", error_code="timeout", error=message, retryable=True)
        except CauldronError as failure:
            retryable = failure.code in TRANSIENT
            return ToolResult(
                status="failed", error_code=failure.code, error=failure.message, retryable=retryable
            )
        except Exception as crash:  # against the runner's promise; it ran, so it is recorded
            log.exception("runner crashed", tool=tool.id)
            message = f"{type(crash).__name__}: {crash}"[:500]
            return ToolResult(status="failed", error_code="internal_error", error=message, retryable=True)
        return replace(
            result, cost_micro_usd=cost_of(tool, inputs, result), cost_source=_source(tool, result)
        )

    async def _cached(self, key: str) -> Mapping[str, Any] | None:
        kept = self._results.get(key)
        if kept is not None:
            if await self._still_stored(kept):
                self._keep(key, kept)
                return kept
            self._results.pop(key, None)
        where = {"cacheKey": key}
        for doc in await self.store.find("generationOutputs", where, order=("cacheKey",), limit=3):
            if doc["status"] == "success" and await self._still_stored(doc["outputs"]):
                self._keep(key, doc["outputs"])
                return dict(doc["outputs"])
        return None

    async def _still_stored(self, outputs: Mapping[str, Any]) -> bool:
        for value in outputs.values():
            if is_media(value) and await self.blobs.size(value["media"].removeprefix("sha256:")) is None:
                return False
        return True

    def _keep(self, key: str, outputs: Mapping[str, Any]) -> None:
        self._results[key] = outputs
        self._results.move_to_end(key)
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)


class StepFailed(Exception):
    """A step of the graph did not succeed; the steps after it are not run."""

    def __init__(self, step: PlannedStep, record: StepRecord) -> None:
        error = record.get("error") or {"code": record["status"], "message": "no reason given"}
        super().__init__(error["message"])
        self.result: dict[str, Any] = {
            "status": "failed",
            "code": error["code"],
            "error": {"code": error["code"], "message": f"{step.label}: {error['message']}"},
            "retryable": error.get("retryable") == "yes",
        }


def cache_key(tool: Tool, inputs: Mapping[str, Any]) -> str:
    """Content hash of a deterministic run: tool, version and inputs, media by digest."""
    return content_hash([tool.id, tool.version, recorded(inputs)])


def recorded(value: Any) -> Any:
    """``value`` as records keep it: media references reduced to digest and type."""
    if is_media(value):
        return {"media": value["media"], "mime": value["mime"]}
    if isinstance(value, Mapping):
        return {key: recorded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [recorded(item) for item in value]
    return value


def cost_of(tool: Tool, inputs: Mapping[str, Any], result: ToolResult) -> int:
    """Micro-USD of one run: reported by the tool, else by its tariff."""
    if result.cost_source == "reported":
        return result.cost_micro_usd
    costing = tool.costing
    if costing.model == "per_second":
        return costing.amount_micro_usd * result.duration_ms // 1000
    if costing.model == "per_unit" and costing.unit:
        return int(costing.amount_micro_usd * float(inputs.get(costing.unit, 0)))
    return costing.amount_micro_usd


def _source(tool: Tool, result: ToolResult) -> str:
    return "reported" if result.cost_source == "reported" else tool.costing.source


def _record(
    step: PlannedStep,
    inputs: Mapping[str, Any],
    result: ToolResult,
    *,
    span: tuple[int, int],
    key: str | None,
    cached: bool,
    job: Doc,
) -> StepRecord:
    record: StepRecord = {
        "step": step.id,
        "toolId": step.tool.id,
        "toolVersion": step.tool.version,
        "toolDisplayName": step.tool.display_name,
        "status": result.status,
        "startMs": span[0],
        "endMs": span[1],
        "inputs": recorded(inputs),
        "outputs": dict(result.outputs),
        "costMicroUsd": 0 if cached else result.cost_micro_usd,
        "costSource": result.cost_source,
        "attempt": job["attempt"],
    }
    if key is not None and result.status == "success":
        record["cacheKey"] = key
    if cached:
        record["cached"] = True
    if result.run_id is not None:
        record["runId"] = result.run_id
    if result.status != "success":
        record["error"] = {
            "code": result.error_code or result.status,
            "message": result.error or "the tool gave no reason",
            "retryable": "yes" if result.retryable else "no",
        }
    return record


def _main(outputs: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    value = outputs.get(recipe.snapshot.main_output)
    return dict(value) if is_media(value) else {"value": value}


def _failure(code: str, message: str, steps: Steps, *, retryable: bool = False) -> dict[str, Any]:
    return {
        "status": "failed",
        "code": code,
        "error": {"code": code, "message": message},
        "retryable": retryable,
        "steps": steps,
        "durationMs": 0,
    }

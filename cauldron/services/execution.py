"""The ExecutionClient: every tool run of every spell, piece and cast goes through here.

It resolves a step's inputs, looks for an earlier result of the same content,
runs the tool under its deadline and writes down what happened. Failures are
results; nothing here raises for what a tool did.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
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
from cauldron.ports.tracing import Tracer, Untraced
from cauldron.services.journals import Gone, Journal, NoJournal, Past
from cauldron.services.recipes import Recipe, Recipes
from cauldron.services.submitting import IMMEDIATE, Submission, carry_out
from cauldron.services.walking import StepFailed, walk

log = structlog.get_logger("cauldron.execution")
KEPT_RESULTS = 2_000
TRANSIENT = ("unavailable", "storage_full")  # errors that pass by themselves
Steps = list[StepRecord]


@dataclass(slots=True)
class ExecutionClient:
    """Runs jobs of cooks and casts."""

    store: Store
    recipes: Recipes
    runners: Mapping[str, ToolRunner]  # adapter name -> runner
    blobs: BlobStore
    clock: Clock
    tracer: Tracer = field(default_factory=Untraced)
    grace_s: float = 5.0  # beyond a tool's time-out, before a runner that has not answered is given up
    journal_of: Callable[[Doc], Journal] = NoJournal
    _results: OrderedDict[str, Mapping[str, Any]] = field(default_factory=OrderedDict)

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """Make one piece or carry out one cast; see ``services.working.Executor``."""
        kind = "piece" if "piece" in job else "cast"
        with self.tracer.span(kind, job=job["_id"], attempt=int(job["attempt"])):
            return await self._run(job)

    async def _run(self, job: Doc) -> Mapping[str, Any]:
        start = self.clock()
        steps: Steps = []
        try:
            recipe = await self.recipes.recipe(job["configHash"])
            inputs = await self._inputs(recipe, job)
            run = _Run(job, self.journal_of(job), inputs)
            run.past = await run.journal.past()
            steps += run.past.noted
            outputs = await self._walk(recipe, run, steps)
        except StepFailed as failure:
            return failure.result | {"steps": steps, "durationMs": max(0, self.clock() - start)}
        except Gone as gone:
            return _failure(gone.code, gone.message, steps)
        except NotFound as missing:
            return _failure("snapshot_missing", missing.message, steps)
        except InvalidMany as bad:
            return _failure("invalid_inputs", f"{bad.problems[0].path}: {bad.problems[0].message}", steps)
        except CauldronError as failure:
            retryable = failure.code in TRANSIENT
            return _failure(failure.code, failure.message, steps, retryable=retryable)
        except Exception as crash:
            log.exception(
                "execution crashed", job=job["_id"], cook_id=job.get("cookId"), cast_id=job.get("castId")
            )
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

    async def _walk(self, recipe: Recipe, run: "_Run", steps: Steps) -> Mapping[str, Any]:
        """Every step once what it needs is there, side by side where they can be."""
        past = run.past.ended
        results: dict[str, Mapping[str, Any]] = {
            step: r["outputs"] for step, r in past.items() if r["status"] == "success"
        }
        gone = [step for step, outputs in results.items() if not await self._still_stored(outputs)]
        for step in gone:  # what an earlier attempt made has been swept away since
            del results[step], past[step]

        async def carry(step: PlannedStep) -> StepRecord:
            wanted = step_inputs(recipe.snapshot, step.id, inputs=run.inputs, results=results)
            with self.tracer.span("step", step=step.id, tool=step.tool.id):
                return await self._step(step, check_inputs(step.tool, wanted), run)

        await walk(recipe.steps, carry, results=results, steps=steps, tries=run.past.tries)
        return results[recipe.snapshot.output_step]

    async def _step(self, step: PlannedStep, inputs: dict[str, Any], run: "_Run") -> StepRecord:
        if step.id in run.past.ended:
            return run.past.ended[step.id]  # it failed, and its worker died before it could say so
        tool = step.tool
        key = cache_key(tool, inputs) if tool.deterministic else None
        start = self.clock()
        found = await self._cached(key) if key else None
        if found is not None:
            result, cached = ToolResult(status="success", outputs=found, cost_source="tariff"), True
        else:
            result, cached = await self._execute(tool, inputs, step=step.id, run=run), False
        if key and result.status == "success":
            self._keep(key, result.outputs)
        span = (start, max(start, self.clock()))  # the clock may have been set back
        record = _record(step, inputs, result, span=span, key=key, cached=cached, job=run.job)
        if result.error_code == "storage_full":
            return record  # it has not ended: it waits for room
        redo = cached or (tool.adapter in IMMEDIATE and tool.deterministic)
        return await run.journal.ended(record, redo=redo)

    async def _execute(self, tool: Tool, inputs: Mapping[str, Any], *, step: str, run: "_Run") -> ToolResult:
        runner = self.runners.get(tool.adapter)
        if runner is None:
            message = f"no runner for tools of the kind {tool.adapter!r} is set up here"
            return ToolResult(status="failed", error_code="tool_unavailable", error=message)
        call = ToolCall(
            tool=tool, inputs=inputs, key=run.key(step), run_id=run.past.submitted.get(step) or None
        )
        submission = Submission(runner, call, step, run.journal, known=step in run.past.submitted)
        try:
            result = await carry_out(submission, grace_s=self.grace_s)
        except Gone:
            raise
        except CauldronError as failure:
            retryable = failure.code in TRANSIENT
            return ToolResult(
                status="failed", error_code=failure.code, error=failure.message, retryable=retryable
            )
        except Exception as crash:  # against the runner's promise; it ran, so it is recorded
            log.exception("runner crashed", tool=tool.id, call=run.key(step))
            message = f"{type(crash).__name__}: {crash}"[:500]
            return ToolResult(status="failed", error_code="internal_error", error=message, retryable=True)
        if result.error_code == "timeout":
            return result
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


@dataclass(slots=True)
class _Run:
    """One run of one job."""

    job: Doc
    journal: Journal
    inputs: Mapping[str, Any]
    past: Past = field(default_factory=Past)

    def key(self, step: str) -> str:
        """What providers know a try of a step by: the same whoever asks, another one for another try."""
        attempt = self.job["attempt"]
        return f"{self.job['_id']}:{step}" + (f":{attempt}" if attempt > 1 else "")


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

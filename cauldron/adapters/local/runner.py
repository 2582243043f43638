"""The ToolRunner of built-in tools: hands calls to the pool, reads back results."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from cauldron.adapters.local.pool import Pool
from cauldron.domain.errors import CauldronError, Refused
from cauldron.domain.media import digest_of, is_media
from cauldron.ports.tools import ToolCall, ToolResult

MESSAGES = {
    "timeout": "it took longer than its time-out and was ended",
    "crashed": "its process died, as when memory runs out",
}


TRANSIENT = ("unavailable", "storage_full")  # failures that pass by themselves
TRIES = 3  # when a copy was evicted by another process just before it was read


class Spool(Protocol):
    """The local folder that members read and write, where blobs themselves are elsewhere."""

    def holding(self, digests: Collection[str]) -> AbstractAsyncContextManager[None]:
        """Local copies, which stay while the block runs. Raises NotFound, Unavailable."""
        ...

    async def send(self, digests: Collection[str]) -> None:
        """Make what members wrote durable. Raises StorageFull, Unavailable."""
        ...


class LocalRunner:
    """Runs tools of the adapter ``local``; they are immediate: nothing is ever polled."""

    def __init__(self, pool: Pool, spool: Spool | None = None) -> None:
        """``spool`` None: members work on the blobs themselves."""
        self._pool = pool
        self._spool = spool

    async def submit(self, call: ToolCall) -> ToolResult:
        """Run the tool now. Its outputs are stored before this returns."""
        if self._spool is None:
            return await self._run(call)
        try:
            for _ in range(TRIES):
                result = await self._between_copies(call, self._spool)
                if result.error_code != "not_found":
                    break
        except CauldronError as failure:
            return ToolResult(
                status="failed",
                error_code=failure.code,
                error=failure.message,
                retryable=failure.code in TRANSIENT,
            )
        return result

    async def _between_copies(self, call: ToolCall, spool: Spool) -> ToolResult:
        """Inputs here first, outputs there before it counts as a success."""
        async with spool.holding(set(media_in(call.inputs))):
            result = await self._run(call)
            if result.status == "success":
                await spool.send(set(media_in(result.outputs)))
        return result

    async def _run(self, call: ToolCall) -> ToolResult:
        request = {"tool": call.tool.id, "inputs": call.inputs}
        reply = await self._pool.call(request, timeout_s=call.tool.timeout_s)
        if "failure" in reply:
            code = "timeout" if reply["failure"] == "timeout" else "tool_crashed"
            status = "timeout" if code == "timeout" else "failed"
            message = MESSAGES[reply["failure"]]
            return ToolResult(status=status, error_code=code, error=message, retryable=True)
        return _result(reply)

    async def poll(self, call: ToolCall) -> ToolResult:
        """Local tools never wait elsewhere; polling runs the call again."""
        return await self.submit(call)

    async def cancel(self, call: ToolCall) -> None:
        """A local run ends by itself within its time-out."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        """Raises Refused: nobody outside reports on local tools."""
        raise Refused("local tools have no webhooks")

    def estimate(self, call: ToolCall) -> int:
        """Micro-USD by the tool's tariff."""
        return call.tool.costing.amount_micro_usd

    async def close(self) -> None:
        """End the pool's processes."""
        await self._pool.close()


def media_in(value: Any) -> Iterator[str]:
    """Digests of every media reference in a JSON value."""
    if is_media(value):
        yield digest_of(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from media_in(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from media_in(item)


def _result(reply: Mapping[str, Any]) -> ToolResult:
    error = reply.get("error")
    return ToolResult(
        status="failed" if error else "success",
        outputs=reply.get("outputs") or {},
        error_code=error["code"] if error else None,
        error=error["message"] if error else None,
        retryable=bool(error and error.get("retryable")),
        duration_ms=reply.get("ms", 0),
    )

"""The ToolRunner of built-in tools: hands calls to the pool, reads back results."""

from collections.abc import Mapping
from typing import Any

from cauldron.adapters.local.pool import Pool
from cauldron.domain.errors import Refused
from cauldron.ports.tools import ToolCall, ToolResult

MESSAGES = {
    "timeout": "it took longer than its time-out and was ended",
    "crashed": "its process died, as when memory runs out",
}


class LocalRunner:
    """Runs tools of the adapter ``local``; they are immediate: nothing is ever polled."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def submit(self, call: ToolCall) -> ToolResult:
        """Run the tool now. Its outputs are stored before this returns."""
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

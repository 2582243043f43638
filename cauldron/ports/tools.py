"""What executes tools, and what a tool sees of the world while it runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cauldron.domain.media import MediaRef
from cauldron.domain.tool import Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """One output of a local tool, not yet stored: bytes with a type, or a plain value."""

    port: str
    data: bytes | None = None
    mime: str = "application/octet-stream"
    value: Any = None  # for text, number and JSON outputs
    width: int | None = None  # pixels
    height: int | None = None  # pixels


class Media(Protocol):
    """Read access to stored media, from inside a tool. Synchronous: tools run in a pool."""

    def read(self, ref: MediaRef) -> bytes:
        """The whole content. Raises NotFound when it is not stored."""
        ...

    def path(self, ref: MediaRef) -> Path:
        """A local file with the content, only to be read. Raises NotFound."""
        ...


class LocalTool(Protocol):
    """The body of a built-in tool: a pure function of its checked inputs."""

    def __call__(self, inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One execution wanted: a tool version with checked inputs.

    ``key`` is the provider's idempotency key; ``run_id`` is set when an earlier
    holder of the job has submitted the call already, so that it is re-attached.
    """

    tool: Tool
    inputs: Mapping[str, Any]
    key: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """How an execution ended, or that it goes on elsewhere.

    ``status`` is ``success``, ``failed``, ``timeout``, ``cancelled`` or
    ``dispatched`` (then ``run_id`` names the remote run and ``wake_after_s``
    when to poll).
    """

    status: str
    outputs: Mapping[str, Any] = field(default_factory=dict)  # port -> value or MediaRef
    error_code: str | None = None
    error: str | None = None
    retryable: bool = False
    run_id: str | None = None
    wake_after_s: float = 0.0
    cost_micro_usd: int = 0
    cost_source: str = "tariff"
    duration_ms: int = 0


class ToolRunner(Protocol):
    """Executes tools of one adapter. Poll is the truth, push is a hint.

    Guarantees: (1) a tool's failure is a result, never an exception; (2) outputs
    named in a ``success`` result are durable in the blob store before it returns;
    (3) ``submit`` with a ``run_id`` re-attaches and never starts a second run.
    """

    async def submit(self, call: ToolCall) -> ToolResult: ...

    async def poll(self, call: ToolCall) -> ToolResult: ...

    async def cancel(self, call: ToolCall) -> None: ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]: ...

    def estimate(self, call: ToolCall) -> int:
        """Expected cost in micro-USD."""
        ...

    async def close(self) -> None: ...

"""One implementation for blocking and asynchronous use: what to do is a generator, who does it a driver.

A flow yields steps (ask, wait, open a stream, read from it) and is sent their
outcomes; it never does anything itself. :class:`call` and :class:`stream` turn a
flow into a method that blocks or is awaited, by the client it is reached through.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request whose whole answer is wanted: an :class:`Answer` is sent back."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    files: Sequence[tuple[str, bytes, str]] = ()  # name, content, media type
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Open:
    """A request whose answer is read piece by piece: its status and headers are sent back."""

    ask: Ask
    silence_s: float  # longest time without a byte


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of what was opened; empty at its end."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hand something to whoever iterates."""

    item: T


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    content: bytes = b""

    def json(self) -> dict[str, Any]:
        """The content as a JSON document."""
        document: dict[str, Any] = json.loads(self.content)
        return document


class Lost(Exception):
    """Thrown into a flow: the connection failed or fell silent."""


Step = Ask | Open | Read | Wait | Emit[Any]
Flow = Generator[Step, Any, T]


class Blocking(Protocol):
    """Carries out flows in the calling thread."""

    def run(self, flow: Flow[T]) -> T: ...
    def iterate(self, flow: Flow[Any]) -> Iterator[Any]: ...


class Awaited(Protocol):
    """Carries out flows in the running event loop."""

    def run_async(self, flow: Flow[T]) -> Awaitable[T]: ...
    def iterate_async(self, flow: Flow[Any]) -> AsyncIterator[Any]: ...


D = TypeVar("D", bound="Blocking | Awaited")


class Resource(Generic[D]):
    """A part of the API, reached through a client."""

    def __init__(self, driver: D) -> None:
        self.driver = driver


class call(Generic[P, T]):
    """A method that does what its flow says and returns its result."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, owner: None, kind: Any = None) -> "call[P, T]": ...
    @overload
    def __get__(self, owner: Resource[Blocking], kind: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, owner: Resource[Awaited], kind: Any = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        driver, flow = owner.driver, self._flow
        run = driver.run_async if hasattr(driver, "run_async") else driver.run

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return run(flow(owner, *args, **kwargs))

        method.__doc__ = flow.__doc__
        return method


class stream(Generic[P, T]):
    """A method that iterates over what its flow emits."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Generator[Step, Any, T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, owner: None, kind: Any = None) -> "stream[P, T]": ...
    @overload
    def __get__(self, owner: Resource[Blocking], kind: Any = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, owner: Resource[Awaited], kind: Any = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, owner: Any, kind: Any = None) -> Any:
        if owner is None:
            return self
        driver, flow = owner.driver, self._flow
        iterate = driver.iterate_async if hasattr(driver, "iterate_async") else driver.iterate

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return iterate(flow(owner, *args, **kwargs))

        method.__doc__ = flow.__doc__
        return method

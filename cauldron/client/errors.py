"""What can go wrong, as exceptions that carry the server's problem document.

Failure
├── Unreachable        no answer, after all retries
└── Refused            the server said no; .problem, .code, .status
    ├── Invalid            400, 413, 415, 422: send something else
    ├── Unauthenticated    401
    ├── Forbidden          403
    ├── NotFound           404
    ├── Conflict           409: not in this state
    ├── Changed            412, 428: read it again, then edit
    ├── Throttled          429: later; .retry_after_s
    └── Broken             5xx
"""

from collections.abc import Mapping
from typing import Any


class Failure(Exception):
    """The root of everything that the client raises."""


class Unreachable(Failure):
    """The server did not answer, however often it was asked."""


class Refused(Failure):
    """The server answered with a problem."""

    def __init__(
        self, status: int, problem: Mapping[str, Any], *, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "http_error"))
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {self.code}: {problem.get('detail', 'no detail')}{_listed(problem)}")

    @property
    def problems(self) -> list[dict[str, str]]:
        """What is wrong with which field: ``{path, code, message}`` each."""
        return list(self.problem.get("problems", ()))


class Invalid(Refused):
    """The request is malformed; the same one will never be accepted."""


class Unauthenticated(Refused):
    """The key is missing or not valid."""


class Forbidden(Refused):
    """The key may not do this."""


class NotFound(Refused):
    """There is no such thing, or it is somebody else's."""


class Conflict(Refused):
    """It cannot be done in the present state."""


class Changed(Refused):
    """Somebody changed it meanwhile: read it again, then edit."""


class Throttled(Refused):
    """Too much at once; ``retry_after_s`` says when to go on."""


class Broken(Refused):
    """The server failed."""


_KINDS: Mapping[int, type[Refused]] = {
    400: Invalid, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Changed,
    413: Invalid, 415: Invalid, 422: Invalid, 428: Changed, 429: Throttled,
}  # fmt: skip


def refusal(status: int, problem: Mapping[str, Any], *, retry_after_s: float | None = None) -> Refused:
    """The exception for an answer."""
    kind = _KINDS.get(status, Broken if status >= 500 else Refused)
    return kind(status, problem, retry_after_s=retry_after_s)


def _listed(problem: Mapping[str, Any]) -> str:
    listed = [f"{each.get('path')}: {each.get('message')}" for each in problem.get("problems", ())]
    return f" ({'; '.join(listed[:5])})" if listed else ""

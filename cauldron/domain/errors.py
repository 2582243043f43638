"""Named failures, in four branches by what the caller should do.

CauldronError
├── Invalid        malformed input: never try again as it is (exit 2)
│   └── InvalidMany      several problems in one document
├── NotFound       no such thing, or not yours (exit 1)
├── Refused        valid, but not in this state (exit 1)
│   ├── StaleVersion     another writer was first
│   ├── Duplicate        the id or key exists already
│   ├── Infeasible       the settings admit no plan
│   └── LostLease        the work belongs to someone else now
└── Unavailable    try again later (exit 1)
    └── StorageFull      no room; nothing acknowledged was lost
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class CauldronError(Exception):
    """A failure with a public, stable ``code`` and details that hold no secrets."""

    code = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Invalid(CauldronError):
    """The input is malformed; the same input will never be accepted."""

    code = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a document: where, which rule, and a sentence."""

    path: str  # "categories[2].options[0].weight"
    code: str  # "weight_negative"
    message: str  # "weight must be 0 or more, not -3"


class InvalidMany(Invalid):
    """A document has one or more problems; all of them are listed."""

    code = "invalid_document"

    def __init__(self, problems: Sequence[Problem], *, source: str = "") -> None:
        first = problems[0]
        where = f"{source}: " if source else ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{where}{first.path}: {first.message}{more}", source=source)
        self.problems = tuple(problems)


class NotFound(CauldronError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"


class Refused(CauldronError):
    """The request is well formed but cannot be done in the present state."""

    code = "refused"


class StaleVersion(Refused):
    """Another writer appended to the stream first; reload, decide again."""

    code = "stale_version"


class Duplicate(Refused):
    """The id or unique key exists already."""

    code = "duplicate"


class Infeasible(Refused):
    """The collection's settings admit no plan; ``reasons`` say which ones clash."""

    code = "infeasible"

    def __init__(self, message: str, *, reasons: Sequence[str]) -> None:
        super().__init__(message, reasons=list(reasons))
        self.reasons = tuple(reasons)


class LostLease(Refused):
    """The lease on this work has passed to another holder."""

    code = "lost_lease"


class Unavailable(CauldronError):
    """Something outside did not answer; trying again may help."""

    code = "unavailable"


class StorageFull(Unavailable):
    """The disk or quota is full; nothing acknowledged was lost."""

    code = "storage_full"

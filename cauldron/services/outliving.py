"""How loops outlive what fails in a round of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cauldron.domain.errors import CauldronError


@contextmanager
def outliving(log: Any, event: str, **facts: Any) -> Iterator[None]:
    """A failure inside is told to ``log`` as ``event``, and what stands behind is done."""
    try:
        yield
    except CauldronError as failure:
        log.warning(event, code=failure.code, **facts)
    except Exception:
        log.exception(event, **facts)

"""The log of a cook as people read it: a row per event, ranges flattened."""

from collections import deque
from itertools import islice
from typing import Any

from cauldron.domain.codec import events_of, rows_of, unpack, upcast
from cauldron.domain.errors import NotFound
from cauldron.domain.events import rows_in
from cauldron.persistence.streams import Streams
from cauldron.ports.storage import Compare
from cauldron.services.projecting import stream_of

EventPage = tuple[list[dict[str, Any]], tuple[int, int] | None]  # rows, and the place of the next page
MAX_SEQ = 1 << 62


async def log_page(
    streams: Streams, cook_id: str, *, limit: int, after: tuple[int, int] = (0, 0)
) -> EventPage:
    """Rows of the log, ranges flattened, oldest first, after the place ``(seq, rows of it seen)``."""
    seq, seen = after
    rows: list[dict[str, Any]] = []
    start = seq - 1 if seen else seq
    async for page in streams.read(stream_of(cook_id), after=start):
        for commit in page:
            skip = seen if commit["seq"] == seq else 0
            for row in islice(rows_of(commit, skip=skip), limit + 1 - len(rows)):
                if len(rows) == limit:
                    return rows, (seq, seen)
                seen = seen + 1 if commit["seq"] == seq else 1
                seq = commit["seq"]
                rows.append(row)
    return rows, None


async def latest(streams: Streams, cook_id: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest ``limit`` rows of the log, oldest first. Raises NotFound."""
    rows: deque[dict[str, Any]] = deque()
    below = MAX_SEQ
    while len(rows) < limit:
        where = {"stream": stream_of(cook_id), "seq": Compare("<", below)}
        page = await streams.store.find(streams.table, where, order=("-seq",), limit=50)
        for commit in page:
            whole = upcast(unpack(commit))
            total = sum(map(rows_in, events_of(whole)))
            skip = max(0, total - (limit - len(rows)))
            rows.extendleft(reversed(list(rows_of(whole, skip=skip))))
        if len(page) < 50:
            break
        below = page[-1]["seq"]
    if not rows:
        raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
    return list(rows)

"""Records of one account: whatever belongs to somebody else is not there."""

import re

from cauldron.domain.errors import NotFound
from cauldron.ports.storage import Doc, Store
from cauldron.services.casting import Caller

ID = re.compile(r"[0-9A-Za-z@._:-]{1,200}")  # ours, and those of earlier systems


async def owned(store: Store, table: str, record_id: str, *, caller: Caller, noun: str) -> Doc:
    """A record of the caller by id.

    Raises:
        NotFound: there is none, or it is another account's or another environment's;
        which of them is not told.
    """
    [doc] = await store.get(table, [record_id]) if ID.fullmatch(record_id) else [None]
    if doc is None or doc.get("owner") != caller.account or doc.get("environment") != caller.environment:
        raise NotFound(f"there is no {noun} {record_id!r:.80}")
    return doc

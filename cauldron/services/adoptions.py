"""The record that a guest became somebody with a name; see :mod:`cauldron.services.adopting`."""

from cauldron.domain.times import iso
from cauldron.persistence.tables import ADOPTIONS
from cauldron.ports.storage import Doc, Insert

WATCHED_MS = 3_600_000  # what the guest had asked for may still begin: an invoice lives ten minutes


def adoption(guest: str, *, owner: str, actor: str, now: int) -> Insert:
    """That ``owner`` has what ``guest`` had, from now on; there is one for each guest at most."""
    doc: Doc = {
        "_id": guest,
        "schemaVersion": 1,
        "owner": owner,
        "actor": actor,
        "createdAt": iso(now),
        "watched": True,
        "lookAt": now,
        "endsAt": now + WATCHED_MS,
    }
    return Insert(ADOPTIONS, doc)

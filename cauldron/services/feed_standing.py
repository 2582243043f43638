"""Whether those who read live streams may still do so: asked for all of them at once."""

from collections.abc import Mapping, Sequence

from cauldron.domain.identity import Principal
from cauldron.domain.times import from_iso
from cauldron.ports.storage import Doc
from cauldron.services.identity_proofs import Authenticator
from cauldron.services.identity_records import KEYS, SESSIONS, USERS, guest_of

TABLES = {"key": KEYS, "session": SESSIONS}


async def standing(authenticator: Authenticator, principals: Sequence[Principal]) -> list[bool]:
    """For each principal, whether its key, session or place at this machine is still worth something."""
    register = authenticator.register
    local = await authenticator.local()
    records: dict[str, Doc | None] = {}
    for via, table in TABLES.items():
        ids = [who.credential for who in principals if who.via == via]
        records.update(zip(ids, await register.store.get(table, ids), strict=True) if ids else ())
    names = [record["userId"] for record in records.values() if record is not None]
    users = dict(zip(names, await register.store.get(USERS, names), strict=True)) if names else {}
    now = register.clock()

    def stays(who: Principal) -> bool:
        if who.via == "invoice":  # the right to read a run comes from the run, and does not end
            return True
        return (
            local is not None if who.via == "local" else _stands(records.get(who.credential), users, who, now)
        )

    return [stays(who) for who in principals]


def _stands(record: Doc | None, users: Mapping[str, Doc | None], who: Principal, now_ms: int) -> bool:
    if record is None or record.get("revokedAt") is not None:
        return False
    user = guest_of(record) if record.get("guest") else users.get(record["userId"])
    expires = record.get("expiresAt")
    return (
        user is not None
        and not user["disabled"]
        and user["account"] == who.account
        and (expires is None or now_ms < from_iso(expires))
    )

"""The records of identity: users, keys, sessions, invitations, and who the owners are."""

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.credentials import SECRET_BYTES, Kind, Token
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.identity import GUEST, Principal
from cauldron.domain.times import iso
from cauldron.ports.passwords import Passwords
from cauldron.ports.storage import Delete, Doc, Index, Op, Put, Store, Table
from cauldron.ports.system import Clock, NewId

USERS = "users"
KEYS = "api_keys"
SESSIONS = "sessions"
INVITATIONS = "invitations"
OWNERS = "owners"  # one document: an owner is added or taken away together with it, so never the last
ACTIVE = "active"
TABLES: tuple[Table, ...] = (
    Table(
        name=USERS,
        indexes=(Index(fields=("name",), unique=True), Index(fields=("account",))),
    ),
    Table(name=KEYS, indexes=(Index(fields=("userId",)), Index(fields=("account",)))),
    Table(
        name=SESSIONS,
        indexes=(Index(fields=("userId",)), Index(fields=("account",)), Index(fields=("expiresAt",))),
    ),
    Table(name=INVITATIONS, indexes=(Index(fields=("account",)),)),
    Table(name=OWNERS),
)
PAGE = 200


def random_secret() -> str:
    """256 random bits, as 43 characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def guest_of(session: Doc) -> Doc:
    """What stands for the record of a user where the session of a guest does."""
    account = session["account"]
    user = {"_id": account, "account": account, "name": GUEST, "role": GUEST}
    return user | {"disabled": False, "epoch": session["epoch"]}


@dataclass(slots=True, kw_only=True)
class Register:
    """What every part of identity works with. ``account`` is the one that local commands act for."""

    store: Store
    passwords: Passwords
    clock: Clock
    new_id: NewId
    account: str
    environment: str
    new_secret: Callable[[], str] = random_secret
    changes: int = field(default=0, init=False)  # grows with every change made here; caches look at it

    def new_token(self, kind: Kind) -> Token:
        """A fresh credential."""
        return Token(kind, self.new_id(), self.new_secret())

    def now(self) -> str:
        """The instant, as records keep it."""
        return iso(self.clock())

    async def get(self, table: str, record_id: str) -> Doc | None:
        """A record by id."""
        [doc] = await self.store.get(table, [record_id])
        return doc

    async def commit(self, *ops: Op) -> None:
        """Write all or nothing; nothing that was remembered about anybody holds any longer."""
        try:
            await self.store.commit(ops)
        finally:
            self.changes += 1

    async def user(self, user_id: str) -> Doc:
        """A user's record. Raises NotFound."""
        doc = await self.get(USERS, user_id)
        if doc is None:
            raise NotFound("there is no such user", id=user_id)
        return doc

    async def acting(self, who: Principal) -> Doc:
        """The record of who acts. Raises Refused: nobody has been set up yet."""
        doc = await self.get(USERS, who.user)
        if doc is None:
            raise Refused("set up the owner first: `cauldron user add NAME --owner`, or POST /api/v1/setup")
        return doc

    async def user_named(self, name: str) -> Doc | None:
        """The user of a normalised name."""
        found = await self.store.find(USERS, {"name": name}, order=("name",), limit=1)
        return found[0] if found else None

    async def owners(self) -> tuple[list[str], int]:
        """Ids of the users who are owners and may sign in, and the version of that list (0: never any)."""
        doc = await self.get(OWNERS, ACTIVE)
        return ([], 0) if doc is None else (doc["users"], doc["_v"])

    def owners_op(self, users: Sequence[str], version: int) -> Op:
        """The list of owners anew; refused as stale when it is not at ``version``."""
        return Put(OWNERS, {"_id": ACTIVE, "schemaVersion": 2, "users": list(users)}, version)

    async def sessions_of(self, user_id: str) -> list[Op]:
        """What removes every session of a user."""
        ops: list[Op] = []
        after: list[Any] | None = None
        while True:
            page = await self.store.find(
                SESSIONS, {"userId": user_id}, order=("_id",), limit=PAGE, after=after
            )
            ops += [Delete(SESSIONS, doc["_id"]) for doc in page]
            if len(page) < PAGE:
                return ops
            after = [page[-1]["_id"]]

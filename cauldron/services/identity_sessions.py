"""Signing in and out, and the change of one's own password."""

from dataclasses import dataclass

import structlog

from cauldron.domain.credentials import SESSION, Token
from cauldron.domain.errors import Duplicate, InvalidMany, Refused
from cauldron.domain.identity import (
    MAX_PASSWORD_BYTES,
    Principal,
    Unauthenticated,
    check_password,
    normal_name,
    normal_password,
)
from cauldron.domain.times import iso
from cauldron.ports.storage import Delete, Doc, Insert, Op, Patch, Put
from cauldron.services.adoptions import adoption
from cauldron.services.identity_records import SESSIONS, USERS, Register, guest_of
from cauldron.services.identity_throttle import Throttle

log = structlog.get_logger("cauldron.identity")
LONGEST_MS = 30 * 86_400_000  # a session ends then, used or not
MOST_SESSIONS = 50  # of one user; the oldest goes
SWEPT = 50  # sessions that are over and go when somebody signs in


@dataclass(slots=True)
class Sessions:
    """Sessions of pages."""

    register: Register
    throttle: Throttle

    async def sign_in(
        self, name: str, password: str, *, address: str, replacing: str = "", guest: str = ""
    ) -> tuple[Doc, Token]:
        """Open a session; the one that the same browser had (``replacing``, its id) ends.

        ``guest`` is the account of that one's guest, when what it has is to come along.

        Returns:
            The user's record, and the session's token: always a new one.

        Raises:
            Unauthenticated: name and password do not fit; never which, and after the same time.
            Throttled: too many tries for this name or from this address.
        """
        known = _normal(name)
        self.throttle.take(name=known or "?", address=address)
        user = await self.register.user_named(known) if known else None
        if not await self._fits(password, user) or user is None:
            log.info("sign-in failed", address=address)
            raise Unauthenticated("name or password is wrong")
        self.throttle.forgive(name=known, address=address)
        await self._renew_hash(user, password)
        return user, await self.start(user, replacing=replacing, guest=guest)

    async def start(self, user: Doc, *, replacing: str = "", guest: str = "") -> Token:
        """Open a session for a user who has proven who they are; see :meth:`sign_in`."""
        token, ops = self._new(user)
        ops += [Delete(SESSIONS, replacing)] if replacing else []
        ops += await self._over(user["_id"])
        now = self.register.clock()
        said = [adoption(guest, owner=user["account"], actor=user["_id"], now=now)] if guest else []
        try:
            await self.register.commit(*ops, *said)
        except Duplicate:  # the same guest has become somebody already, in another window
            await self.register.commit(*ops)
        return token

    async def start_guest(self, *, address: str) -> tuple[Doc, Token]:
        """Open a session of somebody without a name, on an account of their own that ends with it.

        Returns:
            What stands for the user's record, and the session's token.

        Raises:
            Throttled: too many from this address.
        """
        self.throttle.take(guest=address)
        account = self.register.new_id()
        user = guest_of({"account": account, "epoch": 1})
        token, ops = self._new(user, guest=True)
        await self.register.commit(*ops, *await self._over(account))
        return user, token

    async def end(self, who: Principal) -> None:
        """Sign out: this session is over, now."""
        if who.via == "session":
            await self.register.commit(Delete(SESSIONS, who.credential))

    async def change_password(
        self, who: Principal, *, current: str, new: str, address: str
    ) -> tuple[Doc, Token]:
        """Change one's own password: every session ends, and a new one takes the place of this one.

        Raises:
            Refused: who asks has no session. Unauthenticated: ``current`` is wrong.
            InvalidMany: ``new`` is too weak. Throttled: too many tries.
        """
        if who.via != "session":
            raise Refused("sign in to change your password; `cauldron user reset-password` does it without")
        user = await self.register.user(who.user)
        check_password(new, name=user["name"])
        self.throttle.take(name=user["name"], address=address)
        if not await self._fits(current, user):
            raise Unauthenticated("the current password is wrong")
        self.throttle.forgive(name=user["name"], address=address)
        changed = await self.with_password(user, new)
        token, ops = self._new(changed)
        put = Put(USERS, changed, user["_v"])
        await self.register.commit(put, *await self.register.sessions_of(user["_id"]), *ops)
        return changed, token

    async def with_password(self, user: Doc, password: str) -> Doc:
        """A user's record with another password, not yet written; sessions of before end with it."""
        kept = await self.register.passwords.hash(check_password(password, name=user["name"]))
        changes = {"password": kept, "epoch": user["epoch"] + 1, "updatedAt": self.register.now()}
        return {**{key: value for key, value in user.items() if key != "_v"}, **changes}

    async def _fits(self, password: str, user: Doc | None) -> bool:
        """Whether it is the password of somebody who may sign in; as slow when there is nobody."""
        kept = None if user is None or user["disabled"] else user["password"]
        if len(password) > MAX_PASSWORD_BYTES:  # nobody has it, and the work would grow with it
            password, kept = "", None
        text = normal_password(password).encode(errors="replace").decode()
        return await self.register.passwords.matches(text, kept)

    async def _renew_hash(self, user: Doc, password: str) -> None:
        """Hash the password anew when today's costs are others; it need not succeed."""
        if not self.register.passwords.is_outdated(user["password"]):
            return
        kept = await self.register.passwords.hash(normal_password(password))
        patch = Patch(USERS, user["_id"], {"password": kept}, {"password": user["password"]})
        await self.register.store.commit([patch], atomic=False)

    def _new(self, user: Doc, *, guest: bool = False) -> tuple[Token, list[Op]]:
        token, now = self.register.new_token(SESSION), self.register.clock()
        doc: Doc = {
            "_id": token.id,
            "schemaVersion": 2,
            "userId": user["_id"],
            "account": user["account"],
            "hash": token.digest,
            "epoch": user["epoch"],
            "environment": self.register.environment,
            "createdAt": iso(now),
            "lastUsedAt": iso(now),
            "expiresAt": iso(now + LONGEST_MS),
        } | ({"guest": True} if guest else {})
        return token, [Insert(SESSIONS, doc)]

    async def _over(self, user_id: str) -> list[Op]:
        """What removes sessions that have expired, and the oldest of a user who has many."""
        now, store = self.register.now(), self.register.store
        expired = await store.find(SESSIONS, {}, order=("expiresAt",), limit=SWEPT)
        gone = {doc["_id"] for doc in expired if doc["expiresAt"] <= now}
        mine = await store.find(SESSIONS, {"userId": user_id}, order=("_id",), limit=1000)
        left = [doc["_id"] for doc in mine if doc["_id"] not in gone]
        gone.update(left[: max(0, len(left) + 1 - MOST_SESSIONS)])
        return [Delete(SESSIONS, session_id) for session_id in sorted(gone)]


def _normal(name: str) -> str:
    """A name as records have it; empty when nobody can have it."""
    try:
        return normal_name(name)
    except InvalidMany:
        return ""

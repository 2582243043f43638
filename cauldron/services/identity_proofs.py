"""From a credential to who makes a request, without asking the store about every request."""

from dataclasses import dataclass, field
from typing import Literal

import structlog

from cauldron.domain.credentials import KEY, SESSION, Token, parse_token
from cauldron.domain.errors import CauldronError
from cauldron.domain.identity import GUEST, GUEST_SCOPES, ROLES, Principal, Unauthenticated
from cauldron.domain.times import from_iso, iso
from cauldron.ports.storage import Doc, Patch
from cauldron.services.identity_records import KEYS, SESSIONS, USERS, Register, guest_of, same

log = structlog.get_logger("cauldron.identity")
REMEMBERED_MS = 5_000  # how long a revocation in another process may go unnoticed
OWNERLESS_MS = 1_000  # the same for an owner set up in another process
MOST_REMEMBERED = 10_000
TOUCH_MS = 60_000  # last use is written at most so often
IDLE_MS = 3 * 86_400_000  # a session that is not used ends
NOBODY = "0" * 64  # what a secret is compared with when there is no record


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """An answer, until when it holds, and the state of the register it was given in."""

    who: Principal
    until_ms: int
    changes: int


@dataclass(slots=True)
class Authenticator:
    """Finds out who shows a credential. What it remembers ends with any change made in this process,
    and after five seconds for changes made elsewhere."""

    register: Register
    local_allowed: bool = True  # turned off when others can reach the server
    _known: dict[str, Remembered] = field(default_factory=dict)
    _ownerless: tuple[bool, int, int] = (False, 0, -1)  # answer, until, changes

    async def key(self, text: str) -> Principal:
        """Who holds an API key. Raises Unauthenticated."""
        token = parse_token(text, KEY)
        found = None if token is None else await self._holder(token)
        if found is None:
            raise Unauthenticated("the API key is not valid, has expired or was revoked")
        return found

    async def session(self, text: str) -> Principal | None:
        """Who holds a session; None when it is over or never was."""
        token = parse_token(text, SESSION)
        return None if token is None else await self._holder(token)

    async def local(self) -> Principal | None:
        """The local owner, as long as nobody has been set up as one."""
        if not self.local_allowed or not await self.is_ownerless():
            return None
        account = self.register.account
        return Principal(account=account, user=account, scopes=ROLES["owner"], via="local")

    async def is_ownerless(self) -> bool:
        """Whether no owner was ever set up."""
        answer, until_ms, changes = self._ownerless
        now = self.register.clock()
        if now < until_ms and changes == self.register.changes:
            return answer
        changes = self.register.changes
        _, version = await self.register.owners()
        answer = version == 0
        lasts = OWNERLESS_MS if answer else REMEMBERED_MS
        self._ownerless = (answer, now + lasts, changes)
        return answer

    async def _holder(self, token: Token) -> Principal | None:
        name, now = token.digest, self.register.clock()
        known = self._known.get(name)
        if known is not None and now < known.until_ms and known.changes == self.register.changes:
            return known.who
        self._known.pop(name, None)
        changes = self.register.changes  # before reading: what changes meanwhile is asked for again
        record = await self._record(token)
        user = None if record is None else await self._user(record)
        until_ms = 0 if record is None else _ends_ms(record, token)
        if record is None or user is None or now >= until_ms or not _holds(record, user):
            return None
        await self._touch(record, token, now)
        who = _principal(record, user, token)
        self._remember(
            name, Remembered(who=who, until_ms=min(until_ms, now + REMEMBERED_MS), changes=changes)
        )
        return who

    async def _record(self, token: Token) -> Doc | None:
        """The record that a token opens: present, not revoked, and with the hash of just this secret."""
        doc = await self.register.get(_table(token), token.id)
        fits = same(token.digest, NOBODY if doc is None else doc["hash"])
        return doc if doc is not None and fits and doc.get("revokedAt") is None else None

    async def _user(self, record: Doc) -> Doc | None:
        """The user of a credential; a guest is known by nothing but their session."""
        return guest_of(record) if record.get("guest") else await self.register.get(USERS, record["userId"])

    async def _touch(self, record: Doc, token: Token, now: int) -> None:
        """Note that a credential was used; a store that does not answer is no reason to refuse."""
        last = record["lastUsedAt"]
        if last is not None and now - from_iso(last) < TOUCH_MS:
            return
        patch = Patch(_table(token), token.id, {"lastUsedAt": iso(now)}, {"hash": record["hash"]})
        try:
            await self.register.store.commit([patch], atomic=False)
        except CauldronError as error:
            log.warning("last use was not noted", code=error.code)

    def _remember(self, name: str, answer: Remembered) -> None:
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[name] = answer


def _table(token: Token) -> str:
    return KEYS if token.kind == KEY else SESSIONS


def _ends_ms(record: Doc, token: Token) -> int:
    """The instant from which a credential is worth nothing."""
    ends = from_iso(record["expiresAt"]) if record["expiresAt"] else 1 << 62
    if record.get("guest"):  # nobody could sign in again, and points may be left
        return ends
    return min(ends, from_iso(record["lastUsedAt"]) + IDLE_MS) if token.kind == SESSION else ends


def _holds(record: Doc, user: Doc) -> bool:
    """Whether what a user was given still stands: sessions end with the password they were opened by."""
    return not user["disabled"] and record.get("epoch", user["epoch"]) == user["epoch"]


def _principal(record: Doc, user: Doc, token: Token) -> Principal:
    most = GUEST_SCOPES if user["role"] == GUEST else ROLES[user["role"]]
    via: Literal["key", "session"] = "key" if token.kind == KEY else "session"
    return Principal(
        account=user["account"],
        user=user["_id"],
        scopes=most.intersection(record["scopes"]) if token.kind == KEY else most,
        via=via,
        credential=token.id,
    )

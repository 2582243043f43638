"""Invitations: a link that makes one person a user, once."""

from dataclasses import dataclass

from cauldron.domain.credentials import INVITATION, parse_token
from cauldron.domain.errors import Duplicate, InvalidMany, NotFound, Problem, Refused, StaleVersion
from cauldron.domain.identity import (
    ROLES,
    Forbidden,
    Principal,
    check_label,
    check_password,
    check_role,
    normal_name,
)
from cauldron.domain.times import iso
from cauldron.ports.storage import Compare, Delete, Doc, Insert, Patch
from cauldron.services.identity_records import INVITATIONS, USERS, Register, same
from cauldron.services.identity_throttle import Throttle
from cauldron.services.identity_users import TAKEN, Users

INVITED = ("creator", "reviewer", "operator")  # owners are made by owners, services have no password
WEEK_MS = 7 * 86_400_000
LONGEST_MS = 30 * 86_400_000
MOST = 200  # of an account; those that are over go first
TAKEN_MS = 60_000  # while somebody's password is hashed nobody else gets the invitation
NOBODY = "0" * 64
CLOSED = "the invitation was used or withdrawn, or has expired"


@dataclass(slots=True)
class Invitations:
    """Invitations of accounts."""

    register: Register
    throttle: Throttle
    users: Users

    async def create(
        self, who: Principal, *, role: str, own_account: bool, label: str = "", expires_in_ms: int = WEEK_MS
    ) -> tuple[Doc, str]:
        """Invite one person to the caller's account, or with ``own_account`` to one of their own.

        Returns:
            The record, and the token to hand over: it cannot be had again.

        Raises:
            Forbidden: the role can do more than the caller, or a place of their own is not the
            caller's to give. InvalidMany: something is malformed. Refused: there are too many.
        """
        who.need_grant()
        who.need("edit")
        await self.register.acting(who)
        _check_wanted(who, check_role(role), own_account=own_account)
        if not 0 < expires_in_ms <= LONGEST_MS:
            problem = Problem(path="expiresInS", code="expiry_out_of_range", message="must be 1 s to 30 days")
            raise InvalidMany([problem])
        now, token = self.register.clock(), self.register.new_token(INVITATION)
        doc: Doc = {
            "_id": token.id,
            "schemaVersion": 2,
            "account": who.account,
            "actor": who.user,
            "role": role,
            "ownAccount": own_account,
            "label": check_label(label),
            "hash": token.digest,
            "environment": self.register.environment,
            "createdAt": iso(now),
            "expiresAt": iso(now + expires_in_ms),
            "usedAt": None,
            "usedBy": None,
            "takenUntil": 0,
            "takenBy": "",
        }
        await self.register.commit(Insert(INVITATIONS, doc), *await self._room(who.account))
        return doc, token.text

    async def _room(self, account: str) -> list[Delete]:
        now, listed = self.register.now(), await self.of(account)
        over = [doc["_id"] for doc in listed if doc["usedAt"] is not None or doc["expiresAt"] <= now]
        if len(listed) - len(over) >= MOST:
            raise Refused(f"there are {MOST} open invitations already: withdraw some", limit=MOST)
        return [Delete(INVITATIONS, each) for each in over[: max(0, len(listed) + 1 - MOST)]]

    async def of(self, account: str) -> list[Doc]:
        """Every invitation of an account, oldest first."""
        where = {"account": account}
        return await self.register.store.find(INVITATIONS, where, order=("_id",), limit=2 * MOST)

    async def withdraw(self, who: Principal, invitation_id: str) -> None:
        """Make an invitation worthless. Raises NotFound: there is none, or it is another account's."""
        who.need_grant()
        who.need("edit")
        doc = await self.register.get(INVITATIONS, invitation_id)
        if doc is None or doc["account"] != who.account:
            raise NotFound("there is no such invitation", id=invitation_id)
        await self.register.commit(Delete(INVITATIONS, invitation_id))

    async def accept(self, text: str, *, name: str, password: str, address: str) -> Doc:
        """Become a user. Of many at once with one token, one succeeds.

        Raises:
            NotFound: the token opens nothing (any longer). Duplicate: the name is taken; the
            invitation stays open. InvalidMany: name or password will not do. Throttled.
        """
        self.throttle.take(address=address)
        doc = await self._open(text)
        name = normal_name(name)
        check_password(password, name=name)
        if await self.register.user_named(name) is not None:
            raise Duplicate(TAKEN)
        holder = await self._take(doc)
        account = None if doc["ownAccount"] else doc["account"]
        user = self.users.new_user(name, role=doc["role"], account=account, actor=doc["actor"])
        user["password"] = await self.register.passwords.hash(check_password(password, name=name))
        used = {"usedAt": self.register.now(), "usedBy": user["_id"]}
        mine = {"takenBy": holder, "usedAt": None}
        try:
            await self.register.commit(Patch(INVITATIONS, doc["_id"], used, mine), Insert(USERS, user))
        except StaleVersion as late:
            raise NotFound(CLOSED) from late
        except Duplicate as taken:
            release = Patch(INVITATIONS, doc["_id"], {"takenUntil": 0}, mine)
            await self.register.store.commit([release], atomic=False)
            raise Duplicate(TAKEN) from taken
        return user

    async def _open(self, text: str) -> Doc:
        """The open invitation of a token, as long as who gave it may still do so. Raises NotFound."""
        token = parse_token(text, INVITATION)
        doc = None if token is None else await self.register.get(INVITATIONS, token.id)
        digest = NOBODY if token is None else token.digest
        if not same(digest, NOBODY if doc is None else doc["hash"]) or doc is None:
            raise NotFound(CLOSED)
        if doc["usedAt"] is not None or doc["expiresAt"] <= self.register.now():
            raise NotFound(CLOSED)
        inviter = await self.register.get(USERS, doc["actor"])
        scopes = frozenset() if inviter is None or inviter["disabled"] else ROLES[inviter["role"]]
        if not ROLES[doc["role"]] <= scopes or (doc["ownAccount"] and "admin" not in scopes):
            raise NotFound(CLOSED)
        return doc

    async def _take(self, doc: Doc) -> str:
        """Reserve an invitation, so that only one password is hashed for it. Raises Refused."""
        holder, now = self.register.new_id(), self.register.clock()
        guard = {"usedAt": None, "takenUntil": Compare("<=", now)}
        taken = {"takenUntil": now + TAKEN_MS, "takenBy": holder}
        try:
            await self.register.store.commit([Patch(INVITATIONS, doc["_id"], taken, guard)])
        except StaleVersion as other:
            raise Refused("somebody is accepting this invitation right now") from other
        return holder


def _check_wanted(who: Principal, role: str, *, own_account: bool) -> None:
    if role not in INVITED:
        raise Refused(f"people are invited as {', '.join(INVITED)}", role=role)
    wanted = ROLES[check_role(role)]
    if not wanted <= who.scopes:
        raise Forbidden(f"the role {role} can do more than you", role=role)
    if own_account:
        if role != "creator":
            raise Refused(f"a {role} works on your account: there is nothing to do on one of their own")
        who.need("admin")


def invitation_view(doc: Doc) -> Doc:
    """What may be shown of an invitation."""
    fields = ("role", "ownAccount", "label", "createdAt", "expiresAt", "usedAt", "usedBy")
    return {"id": doc["_id"], **{name: doc[name] for name in fields}}

"""Users: the first owner, those added later, their roles, and the way back for who is locked out."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from cauldron.domain.errors import Duplicate, NotFound, Refused, StaleVersion
from cauldron.domain.identity import Role, check_password, check_role, normal_name
from cauldron.ports.storage import Doc, Insert, Op, Patch, Put
from cauldron.services.identity_records import KEYS, USERS, Register
from cauldron.services.identity_sessions import Sessions

log = structlog.get_logger("cauldron.identity")
TAKEN = "there is a user of that name already"
MOST_KEYS = 1000


@dataclass(slots=True)
class Users:
    """Who may use this place."""

    register: Register
    sessions: Sessions

    async def set_up(self, name: str, password: str) -> Doc:
        """Make the first owner, on the account that local commands act for. Of two at once, one succeeds.

        Raises:
            Refused: there is an owner already. InvalidMany: name or password will not do.
        """
        user = self.new_user(normal_name(name), role="owner", account=self.register.account)
        password = check_password(password, name=user["name"])
        owners, version = await self.register.owners()
        if await self._living(owners):
            raise Refused(OWNED)
        user["password"], user["actor"] = await self.register.passwords.hash(password), user["_id"]
        try:
            await self.register.commit(self.register.owners_op([user["_id"]], version), Insert(USERS, user))
        except StaleVersion as other:
            raise Refused(OWNED) from other
        except Duplicate as taken:
            if await self._living((await self.register.owners())[0]):
                raise Refused(OWNED) from taken
            raise Duplicate(TAKEN) from taken
        log.info("owner set up", user_id=user["_id"])
        return user

    async def add(
        self, name: str, *, role: Role, actor: str, join: str | None = None, password: str | None = None
    ) -> Doc:
        """Add a user who works on the account ``join``, or on one of their own. Services have no password.

        Raises:
            Refused: there is no owner yet, or the role is owner. Duplicate: the name is taken.
            InvalidMany: name or password will not do.
        """
        if not (await self.register.owners())[1]:
            raise Refused("set up the owner first: `cauldron user add NAME --owner`")
        if role == "owner":
            raise Refused("add a creator, then make them an owner: `cauldron user role NAME owner`")
        user = self.new_user(normal_name(name), role=role, account=join, actor=actor)
        if role != "service" and password is not None:
            user["password"] = await self.register.passwords.hash(check_password(password, name=user["name"]))
        try:
            await self.register.commit(Insert(USERS, user))
        except Duplicate as taken:
            raise Duplicate(TAKEN) from taken
        return user

    def new_user(self, name: str, *, role: Role, account: str | None, actor: str = "") -> Doc:
        """A record that is not yet written, without a password; without ``account`` on one of its own."""
        user_id, now = self.register.new_id(), self.register.now()
        return {
            "_id": user_id,
            "schemaVersion": 2,
            "name": name,
            "role": role,
            "account": account or user_id,
            "password": None,
            "epoch": 1,
            "disabled": False,
            "actor": actor,
            "environment": self.register.environment,
            "createdAt": now,
            "updatedAt": now,
        }

    async def named(self, name: str) -> Doc:
        """The user of a name or id. Raises NotFound."""
        found = await self.register.get(USERS, name) or await self.register.user_named(normal_name(name))
        if found is None:
            raise NotFound(f"there is no user {name!r:.80}")
        return found

    async def page(self, *, limit: int, after: str | None = None) -> list[Doc]:
        """Users, oldest first."""
        return await self.register.store.find(
            USERS, {}, limit=limit, after=None if after is None else [after]
        )

    async def change(
        self, user: Doc, *, actor: str, role: str | None = None, disabled: bool | None = None
    ) -> Doc:
        """Give a user (as read) another role, or shut them out, or let them in again.

        Who is shut out loses every session at once; their keys are worth nothing meanwhile.

        Raises:
            Refused: no owner would be left, or a service would become a person or the reverse.
            StaleVersion: the record changed meanwhile.
        """
        changed = {key: value for key, value in user.items() if key != "_v"}
        changed["role"] = user["role"] if role is None else check_role(role)
        changed["disabled"] = user["disabled"] if disabled is None else disabled
        if (changed["role"], changed["disabled"]) == (user["role"], user["disabled"]):
            return user
        if (changed["role"] == "service") != (user["role"] == "service"):
            raise Refused("a service stays one, and a person too: add another user")
        changed["updatedAt"], changed["actor"] = self.register.now(), actor
        ops: list[Op] = [Put(USERS, changed, user["_v"]), *await self._ownership(changed)]
        if changed["disabled"]:
            changed["epoch"] += 1
            ops += await self.register.sessions_of(user["_id"])
        await self.register.commit(*ops)
        log.info("user changed", user_id=user["_id"], role=changed["role"], disabled=changed["disabled"])
        return changed | {"_v": user["_v"] + 1}

    async def _ownership(self, user: Doc) -> list[Op]:
        """What keeps the list of owners true after a change. Raises Refused when it would be empty."""
        owners, version = await self.register.owners()
        others = await self._living([owner for owner in owners if owner != user["_id"]])
        is_one = user["role"] == "owner" and not user["disabled"]
        wanted = [*others, user["_id"]] if is_one else others
        if not wanted:
            raise Refused("this is the last owner: make somebody else one first")
        return [] if set(wanted) == set(owners) else [self.register.owners_op(wanted, version)]

    async def _living(self, owners: Sequence[str]) -> list[str]:
        """Those of the owners who were not erased."""
        found = await self.register.store.get(USERS, owners)
        return [doc["_id"] for doc in found if doc is not None]

    async def reset_password(self, user: Doc, password: str) -> Doc:
        """Give a user another password; every session of theirs ends.

        Raises:
            Refused: services have no password. InvalidMany: it will not do.
        """
        if user["role"] == "service":
            raise Refused("a service has no password: make it a key")
        changed = await self.sessions.with_password(user, password)
        sessions = await self.register.sessions_of(user["_id"])
        await self.register.commit(Put(USERS, changed, user["_v"]), *sessions)
        return changed

    async def recover(self, user: Doc, password: str) -> Doc:
        """Make a user an owner who can sign in, whatever happened: sessions and keys of before end.

        Only the command line does this: whoever can write the store owns the place anyway.

        Raises:
            Refused: it is a service. InvalidMany: the password will not do.
        """
        if user["role"] == "service":
            raise Refused("a service cannot sign in: name a person")
        changed = await self.sessions.with_password(user, password)
        changed |= {"role": "owner", "disabled": False}
        owners, version = await self.register.owners()
        listed = [*(owner for owner in owners if owner != user["_id"]), user["_id"]]
        keys = await self.register.store.find(KEYS, {"userId": user["_id"]}, order=("_id",), limit=MOST_KEYS)
        revoked = {"revokedAt": self.register.now()}
        await self.register.commit(
            Put(USERS, changed, user["_v"]),
            self.register.owners_op(listed, version),
            *(Patch(KEYS, key["_id"], revoked) for key in keys if key["revokedAt"] is None),
            *await self.register.sessions_of(user["_id"]),
        )
        log.info("owner recovered", user_id=user["_id"])
        return changed


OWNED = "there is an owner already: sign in, or run `cauldron user recover NAME` on the machine itself"


def user_view(doc: Doc) -> Doc:
    """What may be shown of a user."""
    fields = ("name", "role", "account", "disabled", "createdAt", "updatedAt")
    return {
        "id": doc["_id"],
        **{name: doc[name] for name in fields},
        "hasPassword": doc["password"] is not None,
    }

"""API keys: made, listed and revoked; the key itself is shown once and never kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from cauldron.domain.credentials import KEY
from cauldron.domain.errors import InvalidMany, NotFound, Problem, Refused
from cauldron.domain.identity import ROLES, Principal, check_label, check_scopes
from cauldron.domain.times import iso
from cauldron.ports.storage import Delete, Doc, Insert, Op, Patch
from cauldron.services.identity_records import KEYS, Register

MOST_KEYS = 100  # of one user that are not revoked
MOST_REVOKED = 100  # of one user that stay in the list
LONGEST_MS = 10 * 366 * 86_400_000  # of an expiry that is named


@dataclass(slots=True)
class Keys:
    """The keys of users."""

    register: Register

    async def create(
        self,
        who: Principal,
        *,
        label: str,
        scopes: Sequence[str] | None = None,
        expires_in_ms: int | None = None,
        user_id: str | None = None,
    ) -> tuple[Doc, str]:
        """Make a key for oneself; who has the scope ``admin`` also for a service.

        Without ``scopes`` the key has all of the user's that the caller has; without
        ``expires_in_ms`` it never expires.

        Returns:
            The record, and the key: it cannot be had again.

        Raises:
            InvalidMany: label, scopes or expiry are malformed. Forbidden: beyond what the caller may.
            NotFound: there is no such user. Refused: there are too many keys.
        """
        who.need_grant()
        user = await self._for(who, user_id)
        most = ROLES[user["role"]] if user["_id"] != who.user else ROLES[user["role"]] & who.scopes
        given = check_scopes(most if scopes is None else scopes, within=most)
        now = self.register.clock()
        token = self.register.new_token(KEY)
        doc: Doc = {
            "_id": token.id,
            "schemaVersion": 2,
            "userId": user["_id"],
            "account": user["account"],
            "label": check_label(label),
            "hash": token.digest,
            "scopes": given,
            "actor": who.user,
            "environment": self.register.environment,
            "createdAt": iso(now),
            "expiresAt": _expiry(now, expires_in_ms),
            "lastUsedAt": None,
            "revokedAt": None,
        }
        await self.register.commit(Insert(KEYS, doc), *await self._room(user["_id"]))
        return doc, token.text

    async def _room(self, user_id: str) -> list[Op]:
        """What makes room for one more: the records of keys revoked long ago go. Raises Refused."""
        keys = await self.of(user_id)
        revoked = [key["_id"] for key in keys if key["revokedAt"] is not None]
        if len(keys) - len(revoked) >= MOST_KEYS:
            raise Refused(f"there are {MOST_KEYS} keys already: revoke some", limit=MOST_KEYS)
        return [Delete(KEYS, key_id) for key_id in revoked[:-MOST_REVOKED]]

    async def _for(self, who: Principal, user_id: str | None) -> Doc:
        """The user that a key is for: oneself, or a service."""
        if user_id in (None, who.user):
            return await self.register.acting(who)
        who.need("admin")
        user = await self.register.user(user_id or "")
        if user["role"] != "service":
            raise Refused("people make their own keys; others only those of a service")
        if user["disabled"]:
            raise Refused("the user is disabled")
        return user

    async def of(self, user_id: str) -> list[Doc]:
        """Every key of a user, oldest first."""
        return await self.register.store.find(KEYS, {"userId": user_id}, order=("_id",), limit=1000)

    async def revoke(self, who: Principal, key_id: str) -> None:
        """Make a key worthless, now; who has the scope ``admin`` anybody's. Again is no error.

        Raises:
            NotFound: there is no such key, or it is another user's.
        """
        doc = await self.register.get(KEYS, key_id)
        if doc is None or (doc["userId"] != who.user and "admin" not in who.scopes):
            raise NotFound("there is no such key", id=key_id)
        if who.credential != key_id:  # a key may end itself
            who.need_grant()
        if doc["revokedAt"] is None:
            await self.register.commit(Patch(KEYS, key_id, {"revokedAt": self.register.now()}))


def _expiry(now_ms: int, expires_in_ms: int | None) -> str | None:
    if expires_in_ms is None:
        return None
    if not 0 < expires_in_ms <= LONGEST_MS:
        problem = Problem(path="expiresInS", code="expiry_out_of_range", message="must be 1 s to ten years")
        raise InvalidMany([problem])
    return iso(now_ms + expires_in_ms)


def key_view(doc: Doc) -> Doc:
    """What may be shown of a key."""
    fields = ("label", "scopes", "createdAt", "expiresAt", "lastUsedAt", "revokedAt", "userId")
    return {"id": doc["_id"], **{name: doc[name] for name in fields}}

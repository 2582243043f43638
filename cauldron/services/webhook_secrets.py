"""The secret that an account's messages are signed with: made when first needed, shown when it is changed."""

import secrets
from dataclasses import dataclass

from cauldron.domain.errors import StaleVersion
from cauldron.domain.times import iso
from cauldron.domain.webhooks import SECRET_BYTES, secret_text
from cauldron.ports.storage import Doc, Put, Store
from cauldron.ports.system import Clock

TABLE = "webhook_secrets"
OVERLAP_MS = 24 * 3_600_000  # for which the secret before signs, too
TRIES = 5


@dataclass(slots=True)
class WebhookSecrets:
    """One secret per account, and the one before for a day."""

    store: Store
    clock: Clock

    async def current(self, account: str) -> list[str]:
        """The secrets to sign with, newest first."""
        doc = await self._get(account) or await self.rotate(account)
        before = doc["before"] if doc["beforeUntil"] > self.clock() else None
        return [doc["secret"], *([before] if before else [])]

    async def since(self, account: str) -> str | None:
        """When the secret was made; None when there is none yet."""
        doc = await self._get(account)
        return None if doc is None else str(doc["createdAt"])

    async def rotate(self, account: str) -> Doc:
        """A new secret, which this answer alone shows; the one before signs for another day."""
        for _ in range(TRIES):
            known, now = await self._get(account), self.clock()
            doc = {
                "_id": account,
                "owner": account,
                "secret": secret_text(secrets.token_bytes(SECRET_BYTES)),
                "before": known["secret"] if known else None,
                "beforeUntil": now + OVERLAP_MS if known else 0,
                "createdAt": iso(now),
            }
            try:
                await self.store.commit([Put(TABLE, doc, known["_v"] if known else 0)])
            except StaleVersion:
                continue
            return doc
        raise StaleVersion("the secret is being changed by others: try again")

    async def _get(self, account: str) -> Doc | None:
        return (await self.store.get(TABLE, [account]))[0]

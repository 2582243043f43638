"""Invoice tokens: one algorithm, every claim required; proof of a quote and of nothing else."""

from dataclasses import dataclass
from typing import Any

import jwt

from cauldron.domain.invoice import InvoiceRejected
from cauldron.ports.signing import Keyring, SigningKey

ALGORITHM = "HS256"
CLAIMS = ("exp", "iat", "jti", "aud", "sub")
AUDIENCE = "cauldron:cast"
LEAST_KEY_BYTES = 32
MAX_TOKEN = 4_096
LEEWAY_MS = 60_000  # a token from a machine whose clock runs ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says: which invoice, for whom, until when (ms)."""

    invoice: str
    account: str
    ends_at: int


@dataclass(slots=True)
class InvoiceTokens:
    """Signs and reads tokens."""

    keyring: Keyring

    def issue(self, invoice: str, *, account: str, issued_at: int, ends_at: int) -> str:
        """A token for an invoice; instants in ms."""
        key = _strong(self.keyring.newest())
        claims = {
            "jti": invoice,
            "sub": account,
            "aud": AUDIENCE,
            "iat": issued_at // 1000,
            "exp": -(-ends_at // 1000),
        }
        return jwt.encode(claims, key.secret, algorithm=ALGORITHM, headers={"kid": key.name})

    def read(self, token: str, *, now: int) -> Claims:
        """What a genuine token says, also when it is over: expiry is judged by the invoice.

        Raises:
            InvoiceRejected: it is forged, incomplete, of another audience or from the future.
        """
        try:
            claims = self._claims(token)
        except (jwt.InvalidTokenError, ValueError) as wrong:
            raise InvoiceRejected("this is no invoice token of this place") from wrong
        if claims["iat"] * 1000 > now + LEEWAY_MS:
            raise InvoiceRejected("this invoice token is from the future")
        return Claims(invoice=claims["jti"], account=claims["sub"], ends_at=claims["exp"] * 1000)

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN:
            raise jwt.InvalidTokenError("too long")
        header = jwt.get_unverified_header(token)
        name = header.get("kid")
        key = self.keyring.named(name) if isinstance(name, str) else None
        if key is None:
            raise jwt.InvalidTokenError("unknown key")
        wanted: Any = {"require": list(CLAIMS), "verify_exp": False, "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(
            token, _strong(key).secret, algorithms=[ALGORITHM], audience=AUDIENCE, options=wanted
        )
        whole = all(isinstance(claims[n], int) and not isinstance(claims[n], bool) for n in ("iat", "exp"))
        if not whole or not all(isinstance(claims[n], str) and claims[n] for n in ("jti", "sub")):
            raise jwt.InvalidTokenError("claims of a wrong kind")
        return claims


def _strong(key: SigningKey) -> SigningKey:
    if len(key.secret) < LEAST_KEY_BYTES:
        raise ValueError(f"signing key {key.name} has fewer than {LEAST_KEY_BYTES} bytes")
    return key

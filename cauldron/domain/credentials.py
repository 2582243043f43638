"""Tokens that are shown once: a prefix, a public id and 256 random bits; only their hash is kept.

A token is ``ck_<id>_<secret>`` for an API key, ``cs_…`` for a session, ``ci_…`` for an invitation:
``id`` is the record's (32 hex digits), ``secret`` 43 characters of base64url. A hash without salt is
enough for what nobody can guess.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ck", "cs", "ci"]
KEY: Kind = "ck"
SESSION: Kind = "cs"
INVITATION: Kind = "ci"
SECRET_BYTES = 32
TOKEN_LENGTH = 3 + 32 + 1 + 43
_TOKEN = re.compile(r"(ck|cs|ci)_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """A credential as its holder has it; never logged, never stored."""

    kind: Kind
    id: str
    secret: str

    @property
    def text(self) -> str:
        """What the holder sends."""
        return f"{self.kind}_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex: what the record keeps."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def csrf(self) -> str:
        """What a page of this session must send in a header; it does not lead back to the session."""
        mac = hashlib.blake2b(b"csrf", key=self.secret.encode(), digest_size=32)
        return urlsafe_b64encode(mac.digest()).decode().rstrip("=")


def parse_token(text: str, kind: Kind) -> Token | None:
    """The token that ``text`` is, or None."""
    match = _TOKEN.fullmatch(text) if len(text) == TOKEN_LENGTH else None
    return Token(kind, match[2], match[3]) if match and match[1] == kind else None

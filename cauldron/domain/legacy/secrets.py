"""What must never be copied: keys, tokens, passwords and private parts of wallets.

Two nets: the name of a field, and the look of a text. A value that is caught
becomes ``[removed]``; how many were caught is told, what they were is not.
"""

import re
from functools import lru_cache
from typing import Any

REMOVED = "[removed]"
MAX_DEPTH = 60
SHORTEST = 16  # characters of a text that can be a secret by its look

# Field names, letters only and lower case; "tokenId" and "maxTokens" are no secrets.
SECRET_NAMES = re.compile(
    r"""
    .*(secret|password|passwd|passphrase|mnemonic|privatekey|privkey|apikey|seedphrase|recoveryphrase
      |seedwords|authorization|credential|clientkey|signingkey|encryptionkey|accesskey|servicekey|masterkey
      |internalkey|sessionkey|keystore|authtoken|accesstoken|refreshtoken|bearertoken|bottoken|sessiontoken
      |idtoken|jwt|cookie|xpriv).*
    |.*(?<!max)(?<!min)(?<!num)(?<!total)(?<!per)(?<!preferred)(?<!payment)token
    |pwd | pass | auth | bearer | otp | pincode | signature | wif
    """,
    re.VERBOSE,
)
LOOKS = re.compile(
    r"""
    \b(?:sk|pk|rk)[-_](?:live|test|proj|ant|or|[A-Za-z0-9])[A-Za-z0-9_-]{14,}
    |\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{16,}
    |\bxox[abeprs]-[A-Za-z0-9-]{10,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b | \bAIza[A-Za-z0-9_-]{30,}
    |\bhf_[A-Za-z0-9]{20,} | \br8_[A-Za-z0-9]{20,} | \bwhsec_[A-Za-z0-9+/=]{16,}
    |\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.?[A-Za-z0-9_-]*
    |-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    |\b[Bb]earer\s+[A-Za-z0-9._~+/=-]{12,} | \b\d{8,10}:AA[A-Za-z0-9_-]{30,}
    |(?<=://)[^/\s:@]{1,100}:[^/\s@]{1,200}(?=@)
    |(?<=[?&])(?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|sig|token|access_token
      |api_?key|key|auth|secret|password)=[^&\s"'#]+
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
HEX_KEY = re.compile(r"0x[0-9a-fA-F]{64}\b")
HASHES = re.compile(r"hash|tx|transaction|block|root|topic", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret."""
    plain = re.sub(r"[^a-z]", "", name.lower()[:200])
    return SECRET_NAMES.fullmatch(plain) is not None


@lru_cache(maxsize=20_000)
def _is_hash_name(name: str) -> bool:
    return HASHES.search(name) is not None


_NAMES: dict[str, int] = {}  # what is known of the names of fields: SECRET, LONG
SECRET, LONG = 1, 2
MOST_NAMES = 20_000


def _name(key: str) -> int:
    """Whether a name tells of a secret, and whether it is long enough to be one itself; remembered."""
    found = (SECRET if is_secret_name(key) else 0) | (LONG if len(key) >= SHORTEST else 0)
    if len(_NAMES) < MOST_NAMES:
        _NAMES[key] = found
    return found


def _suspect(low: str) -> bool:
    """Whether a text in lower case has a mark of what :data:`LOOKS` finds; most have none."""
    return (
        ("_" in low and ("k_" in low or "gh" in low or "hf_" in low or "r8_" in low or "whsec_" in low))
        or ("-" in low and ("k-" in low or "xox" in low or "glpat" in low or "-----begin" in low))
        or ("?" in low and "=" in low)
        or ("@" in low and "://" in low)
        or ":aa" in low
        or "eyj" in low
        or "akia" in low
        or "asia" in low
        or "aiza" in low
        or "bearer" in low
    )


def clean_text(text: str, *, name: str = "") -> str:
    """``text`` without what looks like a secret; the same object when nothing does."""
    if len(text) < SHORTEST:
        return text
    low = text.lower()
    found = LOOKS.sub(REMOVED, text) if _suspect(low) else text
    if "0x" in low and not _is_hash_name(name):
        found = HEX_KEY.sub(REMOVED, found)
    return text if found == text else found


def clean(value: Any, *, name: str = "", depth: int = 0) -> Any:
    """``value`` with every secret in it removed; the same object when there is none."""
    kind = type(value)
    if kind is dict:
        return _clean_object(value, depth)
    if kind is str:
        return clean_text(value, name=name) if len(value) >= SHORTEST else value
    if kind is list:
        return _clean_list(value, name, depth)
    return value


def _clean_object(value: dict[str, Any], depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return REMOVED
    changed: dict[str, Any] = {}
    long_names = False
    known = _NAMES.get
    for key, item in value.items():
        kind = type(item)
        name = known(key)
        if name is None:
            name = _name(key)
        if name:
            long_names = long_names or name >= LONG
            if name & SECRET:
                if item is not None and kind is not bool and item != REMOVED:
                    changed[key] = REMOVED
                continue
        if kind is str:
            kept = clean_text(item, name=key) if len(item) >= SHORTEST else item
        elif kind is dict:
            kept = _clean_object(item, depth + 1)
        elif kind is list:
            kept = _clean_list(item, key, depth + 1)
        else:
            continue
        if kept is not item:
            changed[key] = kept
    result = {**value, **changed} if changed else value
    if long_names and any(clean_text(key) is not key for key in result):
        return {clean_text(key): item for key, item in result.items()}
    return result


def _clean_list(value: list[Any], name: str, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        return REMOVED
    for place, item in enumerate(value):
        kept = clean(item, name=name, depth=depth + 1)
        if kept is not item:
            rest = [clean(each, name=name, depth=depth + 1) for each in value[place + 1 :]]
            return [*value[:place], kept, *rest]
    return value

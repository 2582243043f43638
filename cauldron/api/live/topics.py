"""Which topics a client may read: its own cooks, casts and account, and no more than a few at once."""

import re
from collections.abc import Sequence

from cauldron.api.access import caller_of
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Invalid
from cauldron.domain.identity import Principal
from cauldron.services.owned import owned

MAX_TOPICS = 20
MAX_ID = 100
SEPARATOR = "~"  # between the ids of several topics, in the order of the topics
TABLES = {"cook": "cook_status", "cast": "casts"}
_TOPIC = re.compile(r"(cook|cast):([A-Za-z0-9][A-Za-z0-9._-]{0,99})")


def parse_topics(text: str | None, who: Principal) -> list[str]:
    """The topics of ``?topics=cook:…,cast:…,account``; absent, the account's own.

    Raises:
        Invalid: a name is no topic, or there are too many.
    """
    names = list(dict.fromkeys(part.strip() for part in (text or "account").split(",")))
    if len(names) > MAX_TOPICS:
        raise Invalid(f"topics: at most {MAX_TOPICS} on one stream, not {len(names)}")
    return [named(name, who) for name in names]


def named(name: str, who: Principal) -> str:
    """The full name of a topic. Raises Invalid."""
    if name == "account":
        return f"account:{who.account}"
    if not _TOPIC.fullmatch(name):
        raise Invalid(f"topics: {name[:MAX_ID]!r} is not account, cook:<id> or cast:<id>")
    return name


async def check_owned(studio: Studio, topics: Sequence[str], who: Principal) -> None:
    """Raises NotFound: a topic is not there, or not this account's; which of the two is not told."""
    caller = caller_of(studio, who)
    for name in topics:
        kind, _, record_id = name.partition(":")
        if kind in TABLES:
            await owned(studio.store, TABLES[kind], record_id, caller=caller, noun=kind)


def last_ids(text: str | None, count: int) -> list[str | None]:
    """The id to go on from, for each of ``count`` topics; one of other topics begins them all anew."""
    if not text:
        return [None] * count
    parts = text.split(SEPARATOR) if count > 1 else [text]
    return [None if part == "-" else part for part in parts] if len(parts) == count else ["?"] * count

"""Finding one cook among an owner's: by its id or the beginning of it, or the newest of a collection."""

from cauldron.domain.errors import NotFound, Refused
from cauldron.ports.storage import Store

SHORTEST = 4  # letters of a cook's id that name it, if no other begins so
AMONG = 1_000  # an owner's latest cooks


async def cook_named(store: Store, text: str, *, owner: str) -> str:
    """The id of the owner's cook that ``text`` is, or is the beginning of.

    Raises:
        NotFound: there is none. Refused: several ids begin so.
    """
    [exact] = await store.get("cook_status", [text])
    if exact is not None and exact["owner"] == owner:
        return text
    cooks = await store.find("cook_status", {"owner": owner}, order=("owner", "-startedAt"), limit=AMONG)
    found = [doc["_id"] for doc in cooks if len(text) >= SHORTEST and doc["_id"].startswith(text)]
    if not found:
        hint = "" if len(text) >= SHORTEST else f"; give {SHORTEST} letters of its id or more"
        raise NotFound(f"there is no cook {text!r:.80}{hint}", cook=text[:80])
    if len(found) > 1:
        raise Refused(f"{len(found)} cooks begin with {text!r}: give more of the id", cook=text)
    return str(found[0])


async def newest_of(store: Store, collection_id: str, *, owner: str) -> str | None:
    """The id of the cook of a collection that was started last."""
    where = {"collectionId": collection_id, "owner": owner}
    found = await store.find("cook_status", where, order=("collectionId", "owner", "-startedAt"), limit=1)
    return found[0]["_id"] if found else None

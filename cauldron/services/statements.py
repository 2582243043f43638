"""Statements: what an account's points are, where they went, and which run each posting was for."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Invalid
from cauldron.domain.ledger import accrued, available, check_account, held, payable, points
from cauldron.domain.times import iso
from cauldron.persistence.ledger_tables import HOLDS
from cauldron.ports.storage import Doc
from cauldron.services.ledger_books import Books

PAGE = 500
MOST_HOLDS = 100
LATEST = 200  # postings whose holds are looked at: what was captured from them may not be posted yet
COLUMNS = ("at", "account", "points", "kind", "group", "hold", "run", "note", "actor")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula
WORDS = {  # what a posting of an event is to a person
    "PointsGranted": "Granted",
    "PointsDeposited": "Bought",
    "DepositReversed": "Payment taken back",
    "DepositRestored": "Payment came again",
    "PointsHeld": "Set aside for a run",
    "PointsReleased": "Came back from a run",
    "PointsCaptured": "Spent",
    "PointsRefunded": "Refunded",
    "GrantExpired": "Expired",
    "PointsMoved": "Went along to your account",
    "PointsReceived": "Came along from when you were a guest",
    "CreatorEarned": "Earned",
    "CreatorClawedBack": "Share taken back",
    "PointsWithdrawn": "Paid out",
}


def ledger_account(account: str, of: str) -> str:
    """The ledger account that a word names. Raises Invalid."""
    check_account(account)
    names = {
        "available": available(account),
        "held": held(account),
        "creator": payable(account),
        "accrued": accrued(account),
    }
    if of not in names:
        raise Invalid(f"of must be one of {', '.join(names)}, not {of!r:.40}", path="of")
    return names[of]


@dataclass(slots=True)
class Statements:
    """Statements from the balances and postings of one store."""

    books: Books

    async def catch_up(self, account: str) -> None:
        """Bring what was posted until now into the balances."""
        await self.books.catch_up(await self.books.streams_of(account))
        latest, _ = await self.books.statement(held(account), limit=LATEST)
        await self.books.catch_up({f"hold:{row['hold']}" for row in latest if row["hold"]})

    async def page(
        self, name: str, *, limit: int, after: list[Any] | None = None
    ) -> tuple[list[Doc], list[Any] | None]:
        """Postings of one ledger account, newest first, with their runs; and where the next page begins."""
        rows, following = await self.books.statement(name, limit=limit, after=after)
        return await self._with_runs(rows), following

    async def _with_runs(self, rows: list[Doc]) -> list[Doc]:
        wanted = sorted({row["hold"] for row in rows if row["hold"]})
        found = await self.books.ledger.store.get(HOLDS, wanted) if wanted else []
        runs = {doc["_id"]: _run_of(doc) for doc in found if doc is not None}
        return [row | runs.get(row["hold"], {"run": None, "slug": None}) for row in rows]

    async def all(self, name: str, *, limit: int) -> AsyncIterator[list[Doc]]:
        """At most ``limit`` postings, a page at a time."""
        after: list[Any] | None = None
        while limit > 0:
            rows, after = await self.page(name, limit=min(PAGE, limit), after=after)
            yield rows
            limit -= len(rows)
            if after is None:
                return

    async def open_holds(self, account: str) -> list[dict[str, Any]]:
        """What is set aside now, newest first, at most 100."""
        ledger = self.books.ledger
        ids = list((await ledger.accounts.load(f"account:{account}")).state.holds)[::-1]
        found = []
        for hold_id in ids[:MOST_HOLDS]:
            hold = (await ledger.holds.load(f"hold:{hold_id}")).state
            opened = hold.opened
            about = opened.get("about", {})
            found.append(
                {
                    "hold": hold_id,
                    "run": opened.get("run"),
                    "slug": about.get("slug"),
                    "capPts": points(hold.cap_milli),
                    "spentPts": points(hold.captured_milli),
                    "leftPts": points(hold.left_milli),
                }
            )
        return found

    async def summary(self, account: str) -> dict[str, Any]:
        """Balance and open holds, exact now."""
        balance = await self.books.ledger.balance(account)
        ends = balance["nextExpiry"]
        holds = await self.open_holds(account)
        return balance | {"nextExpiry": iso(ends) if ends else None, "holds": holds}


def _run_of(hold: Doc) -> dict[str, Any]:
    return {"run": hold["runId"], "slug": hold["about"].get("slug")}


def as_csv(rows: Iterable[Doc], *, header: bool = True) -> str:
    """Rows as CSV; text that a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value


def worded(row: Doc) -> str:
    """What a posting is to a person."""
    kind: str = row["kind"]
    return WORDS.get(kind, kind)

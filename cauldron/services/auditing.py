"""The audit: every record of the store once, in bounded pages, then the event streams."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.audit import BY_NAME, CHECKS, Rule, Tally, report_document
from cauldron.domain.errors import Invalid
from cauldron.persistence.ledger_tables import ACCOUNTS, HOLDS, INVOICES, LEDGER, PAYMENTS, POSTINGS
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Doc, Store
from cauldron.ports.system import Clock
from cauldron.services import identity_records
from cauldron.services.audit_links import LINKS, Links, missing_blobs, without_stream
from cauldron.services.audit_streams import CastCheck, differing_cooks
from cauldron.services.formats import schema_problems
from cauldron.services.rebuilding import Rebuilding

PAGE = 1000
IDENTITY = tuple(table.name for table in identity_records.TABLES)
BOOKS = (HOLDS, INVOICES, PAYMENTS, POSTINGS, ACCOUNTS)
SCHEMAS: Mapping[str, str] = {  # table -> published JSON Schema
    **{
        name: name
        for name in (
            "tools",
            "spells",
            "spell_versions",
            "collections",
            "plans",
            "cooks",
            "cook_status",
            "pieces",
            "casts",
            "generationOutputs",
            "exports",
            *IDENTITY,
            *BOOKS,
        )
    },
    COOK_EVENTS: "commits",
    CAST_EVENTS: "commits",
    LEDGER: "commits",
}
WITHOUT_MEDIA = {"tools", "cook_status", COOK_EVENTS, CAST_EVENTS, LEDGER, *IDENTITY, *BOOKS}
MEDIA_TABLES = frozenset(SCHEMAS) - WITHOUT_MEDIA
STREAM_OF: Mapping[str, str] = {"cooks": COOK_EVENTS, "casts": CAST_EVENTS}
NO_LEDGER = "there is no ledger: everything is free of charge"
NO_WEBHOOKS = "no record has received a webhook"
Progress = Callable[[int], None]  # records read so far
LedgerCheck = Callable[[Tally], Awaitable[None]]


async def pages(store: Store, table: str, *, size: int = PAGE) -> AsyncIterator[list[Doc]]:
    """A whole table by id, without the engine's version numbers; memory holds one page."""
    after: list[Any] | None = None
    while True:
        page = await store.find(table, {}, limit=size, after=after)
        for doc in page:
            doc.pop("_v", None)
        if page:
            yield page
        if len(page) < size:
            return
        after = [page[-1]["_id"]]


@dataclass(slots=True)
class Auditing:
    """Audits one store. ``tables`` are the names of those it has; ``engine`` is told in the report."""

    store: Store
    blobs: BlobStore
    tables: Collection[str]
    rebuilding: Rebuilding
    clock: Clock
    environment: str
    engine: str
    ledger: LedgerCheck | None = None

    async def run(self, *, rules: Sequence[str] = (), progress: Progress | None = None) -> dict[str, Any]:
        """The report of all rules, or of those named; see :func:`cauldron.domain.audit.report_document`.

        Raises:
            Invalid: a rule is unknown.
        """
        wanted = chosen(rules)
        began = self.clock()
        run = _Run(self, {name: Tally(rule) for name, rule in wanted.items()}, began, progress)
        await run.records()
        await run.streams()
        await run.rest()
        return report_document(
            run.tallies.values(),
            environment=self.environment,
            engine=self.engine,
            at=began,
            records=run.read,
            seconds=max(0, self.clock() - began) / 1000,
        )


def chosen(rules: Sequence[str]) -> dict[str, Rule]:
    """The rules named, in their order; all when none is. Raises Invalid."""
    if unknown := sorted(set(rules) - set(BY_NAME)):
        raise Invalid(f"{unknown[0]!r} is no rule: {', '.join(BY_NAME)}", path="rule")
    return {name: rule for name, rule in BY_NAME.items() if not rules or name in rules}


@dataclass(slots=True)
class _Run:
    """One audit under way."""

    audit: Auditing
    tallies: dict[str, Tally]
    now: int
    progress: Progress | None
    read: int = 0
    links: Links = field(init=False)

    def __post_init__(self) -> None:
        self.links = Links(self.audit.store)
        if "test-records" in self.tallies and self.audit.environment == "test":
            self.tallies["test-records"].absent = "this is an environment for tests"

    async def records(self) -> None:
        """Read every table that a wanted rule looks at."""
        for table in dict.fromkeys((*SCHEMAS, *CHECKS)):
            if table in self.audit.tables and self._concerned(table):
                async for page in pages(self.audit.store, table):
                    await self._page(table, page)

    def _concerned(self, table: str) -> bool:
        names = {name for name, _ in CHECKS.get(table, ())}
        if table in SCHEMAS:
            names |= {"schema", "test-records"}
        names |= {"links"} if table in LINKS else set()
        names |= {"blobs-missing"} if table in MEDIA_TABLES else set()
        names |= {"projections"} if table in STREAM_OF else set()
        return bool(names & set(self.tallies))

    async def _page(self, table: str, page: Sequence[Doc]) -> None:
        self.read += len(page)
        self._checks(table, page)
        self._strays(table, page)
        self._schema(table, page)
        if (links := self.tallies.get("links")) and table in LINKS:
            await self.links.check(table, page, links)
        if (blobs := self.tallies.get("blobs-missing")) and table in MEDIA_TABLES:
            await missing_blobs(self.audit.blobs, table, page, blobs)
        if (projections := self.tallies.get("projections")) and table in STREAM_OF:
            events = STREAM_OF[table]
            for doc_id in await without_stream(self.audit.store, table, page, events=events):
                projections.checked += 1
                projections.note(table, doc_id, "has no event stream", kind=f"{table}: no stream")
        if self.progress is not None:
            self.progress(self.read)

    def _checks(self, table: str, page: Sequence[Doc]) -> None:
        for name, check in CHECKS.get(table, ()):
            tally = self.tallies.get(name)
            if tally is None:
                continue
            for doc in page:
                reason = check(doc, self.now)
                tally.checked += reason is not None
                if reason:
                    tally.note(table, doc.get("_id"), reason)

    def _strays(self, table: str, page: Sequence[Doc]) -> None:
        tally = self.tallies.get("test-records")
        if tally is None or tally.absent:
            return
        for doc in page:
            if "environment" in doc:
                tally.checked += 1
                if doc["environment"] == "test":
                    tally.note(table, doc.get("_id"), "environment is test", kind=table)

    def _schema(self, table: str, page: Sequence[Doc]) -> None:
        tally, schema = self.tallies.get("schema"), SCHEMAS.get(table)
        if tally is None or schema is None:
            return
        tally.checked += len(page)
        for doc in page:
            problems = schema_problems(doc, schema=schema, path="")
            if problems:
                first = problems[0]
                where = first.path.removeprefix(".") or "document"
                tally.note(table, doc.get("_id"), f"{where}: {first.message}", kind=f"{table}.{where}")

    async def streams(self) -> None:
        """Fold every stream and compare."""
        tally = self.tallies.get("projections")
        if tally is None:
            return
        async for _ in differing_cooks(self.audit.store, self.audit.rebuilding, tally):
            self._tell()
        async for _ in CastCheck(self.audit.store, self.now).run(tally):
            self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.read + self.tallies["projections"].checked)

    async def rest(self) -> None:
        """What is no record by record matter."""
        late = self.tallies.get("settled-late")
        if late is not None and not late.checked:
            late.absent = NO_WEBHOOKS
        ledger = self.tallies.get("ledger")
        if ledger is None:
            return
        if self.audit.ledger is None:
            ledger.absent = NO_LEDGER
        else:
            await self.audit.ledger(ledger)

"""The composition root: the only module that knows every class."""

import os
import random
import secrets
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from cauldron import __version__
from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.local import registry as builtin
from cauldron.adapters.local.pool import Pool
from cauldron.adapters.local.runner import LocalRunner
from cauldron.config import Settings, load_settings
from cauldron.domain import cook as cooks
from cauldron.domain.cook_state import Cook, evolve, fold_commits
from cauldron.engine import Engine
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import TABLES as LEDGER_TABLES
from cauldron.persistence.schema import Upcasting
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS, COOK_EVENTS, COOK_JOBS
from cauldron.persistence.tables import TABLES as CORE_TABLES
from cauldron.places import blobs_at, existing, naming, store_at
from cauldron.ports.tracing import Tracer, Untraced
from cauldron.services import casting, cooking, identity, moving, replaying, spell_stats, spells, tools
from cauldron.services.casting import Caller, Casting
from cauldron.services.collecting import Collecting
from cauldron.services.cook_finding import cook_named
from cauldron.services.cooking import Cooking
from cauldron.services.curating import Curating
from cauldron.services.dispatch import Decider, Dispatcher
from cauldron.services.estimating import Estimating
from cauldron.services.execution import ExecutionClient
from cauldron.services.feed_wiring import Feeds, feeds_over, shown
from cauldron.services.hot_status import HotStatus
from cauldron.services.journals import Journals
from cauldron.services.measuring import FOLLOWED, Measuring
from cauldron.services.owning import Owner
from cauldron.services.previewing import Previewing
from cauldron.services.projecting import Projector
from cauldron.services.recipes import Recipes
from cauldron.services.reviewing import Reviewing
from cauldron.services.spells import Spellbook
from cauldron.services.summarizing import Summarizing
from cauldron.services.sweeping import Sweeper
from cauldron.services.tools import ToolRegistry
from cauldron.services.working import Worker, WorkerOptions
from cauldron.workshop import Workshop

if TYPE_CHECKING:
    from cauldron.ports.limiting import Limiter
    from cauldron.ports.measuring import Metrics
    from cauldron.ports.passwords import Passwords
    from cauldron.services.shipping import Shipping

TABLES = (*CORE_TABLES, *LEDGER_TABLES, *spells.TABLES, *tools.TABLES, *moving.TABLES, *identity.TABLES)
TABLES += (*replaying.TABLES, *spell_stats.TABLES)
ENDLESS_BYTES = 1 << 60
COOKS: Decider[Cook] = Decider(Cook, cooks.decide, evolve, whole=False, fold=fold_commits)


def clock() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """32 hex digits: 48 bits of time, so that ids sort by age, then 80 random bits."""
    return f"{clock():012x}{secrets.token_hex(10)}"


class Studio:
    """Everything, wired: services over one store and one blob store."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        default = settings.home / "cauldron.db"
        self.stored = store_at(settings.database_url, default=default, synchronous=settings.synchronous)
        self.store = Upcasting(self.stored)
        self.blobs = blobs_at(settings.blobs_url, settings)
        self.session = new_id()
        member = [sys.executable, "-m", "cauldron.member", str(settings.blobs_path or settings.cache_path)]
        self.pool = Pool(command=member, size=settings.pool_size)
        spool = None if isinstance(self.blobs, FsBlobs) else self.blobs
        self.runners = {"local": LocalRunner(self.pool, spool)}

    async def open(self) -> None:
        """Create what is missing in store and blob store."""
        with naming("database_url"):
            await self.store.open(TABLES)
        await moving.check_open(self.store)
        if not isinstance(self.blobs, FsBlobs):
            with naming("blobs_url"):
                await self.blobs.open()

    async def close(self) -> None:
        """Finish what was accepted; end the tool processes."""
        self.tracer.close()
        for runner in self.runners.values():
            await runner.close()
        if "passwords" in vars(self):  # made only where somebody signed in
            await self.passwords.close()
        await self.store.close()

    def clock(self) -> int:
        """Milliseconds since 1970 UTC."""
        return clock()

    def new_id(self) -> str:
        """A fresh id."""
        return new_id()

    @property
    def owner(self) -> str:
        """The account that local commands act for."""
        return self.settings.owner

    @cached_property
    def caller(self) -> Caller:
        """Who local commands are made by."""
        return Caller(account=self.settings.owner, environment=self.settings.environment)

    @cached_property
    def passwords(self) -> "Passwords":
        from cauldron.adapters.passwords import Argon2Passwords  # noqa: PLC0415 - only where it is used

        return Argon2Passwords()

    @cached_property
    def identity(self) -> identity.Identity:
        return identity.Identity(
            store=self.store,
            passwords=self.passwords,
            clock=clock,
            new_id=new_id,
            account=self.settings.owner,
            environment=self.settings.environment,
        )

    @cached_property
    def metrics(self) -> "Metrics":
        from cauldron.adapters.prometheus import PrometheusMetrics  # noqa: PLC0415 - only a server counts

        return PrometheusMetrics()

    @cached_property
    def tracer(self) -> Tracer:
        if not self.settings.otlp_endpoint:
            return Untraced()
        from cauldron.adapters.tracing import tracer_to  # noqa: PLC0415 - an extra

        with naming("otlp_endpoint"):
            return tracer_to(self.settings.otlp_endpoint, version=__version__)

    @cached_property
    def limiter(self) -> "Limiter":
        from cauldron.adapters.rate_limits import MemoryLimiter  # noqa: PLC0415 - only a server limits

        return MemoryLimiter()

    @cached_property
    def replays(self) -> replaying.Replays:
        return replaying.Replays(self.store, clock=clock, new_id=new_id)

    @cached_property
    def feeds(self) -> Feeds:
        return feeds_over(self.cooking, self.casting, self.identity.authenticator)

    @cached_property
    def cook_streams(self) -> Streams:
        return Streams(self.store, COOK_EVENTS)

    @cached_property
    def cooks(self) -> Dispatcher[Cook]:
        return Dispatcher(self.cook_streams, COOKS, clock=clock)

    @cached_property
    def recipes(self) -> Recipes:
        return Recipes(self.blobs)

    @cached_property
    def cook_jobs(self) -> JobStore:
        return JobStore(self.store, COOK_JOBS)

    @cached_property
    def projector(self) -> Projector:
        return Projector(self.store, self.cooks, self.recipes)

    @cached_property
    def tools(self) -> ToolRegistry:
        declared = (declaration for declaration, _ in builtin.TOOLS.values())
        return ToolRegistry(declared, folders=[self.settings.home / "tools"])

    @cached_property
    def spells(self) -> Spellbook:
        return Spellbook(
            store=self.store,
            tools=self.tools,
            owner=self.settings.owner,
            actor=self.settings.owner,
            environment=self.settings.environment,
        )

    @cached_property
    def collecting(self) -> Collecting:
        tools, spells = self.tools, self.spells
        return Collecting(
            store=self.store, blobs=self.blobs, tools=tools, spells=spells, clock=clock, new_id=new_id
        )

    @cached_property
    def cooking(self) -> Cooking:
        return Cooking(
            store=self.store,
            cooks=self.cooks,
            rows=Dispatcher(self.cook_streams, cooking.ROWS, clock=clock),
            projector=self.projector,
            jobs=self.cook_jobs,
            blobs=self.blobs,
            collecting=self.collecting,
            new_id=new_id,
            funding=self.workshop.funding,
        )

    @cached_property
    def curating(self) -> Curating:
        return Curating(self.cooking)

    @cached_property
    def previewing(self) -> Previewing:
        return Previewing(self.collecting, self.casting)

    @cached_property
    def summarizing(self) -> Summarizing:
        return Summarizing(self.cooking, self.recipes)

    @cached_property
    def hot_status(self) -> HotStatus:
        return HotStatus(self.cooking, shown)

    @cached_property
    def estimating(self) -> Estimating:
        return Estimating(self.store, self.collecting, self.free_bytes)

    async def find_cook(self, text: str) -> str:
        """The id of the caller's cook that ``text`` is or begins. Raises NotFound, Refused."""
        return await cook_named(self.store, text, owner=self.owner)

    @cached_property
    def shipping(self) -> "Shipping":
        # Loaded when asked for: templates and drawing are a third of a command's start.
        from cauldron.adapters.contact_sheet import PillowSheet  # noqa: PLC0415
        from cauldron.services.shipping import Shipping  # noqa: PLC0415

        return Shipping(
            store=self.store,
            cooking=self.cooking,
            recipes=self.recipes,
            blobs=self.blobs,
            sheet=PillowSheet(),
            clock=clock,
            new_id=new_id,
        )

    async def cook_ids(self) -> list[str]:
        """Every cook of the store, by id."""
        ids: list[str] = []
        while page := await self.store.find("cooks", {}, after=ids[-1:] or None):
            ids += [doc["_id"] for doc in page]
        return ids

    async def is_idle(self) -> bool:
        """Whether no cook is cooking and nothing waits or runs."""
        if await self.store.find("cook_status", {"state": "Cooking"}, order=("state",), limit=1):
            return False
        for queue in (self.cook_jobs, self.casting.jobs, *self.workshop.queues):
            for where, order in (({"status": "queued"}, "rank"), ({"status": "running"}, "worker")):
                if await self.store.find(queue.table, where, order=(order,), limit=1):
                    return False
        return True

    @cached_property
    def workshop(self) -> Workshop:
        return Workshop(self)

    @cached_property
    def reviewing(self) -> Reviewing:
        return Reviewing(cooking=self.cooking, recipes=self.recipes, blobs=self.blobs, new_id=new_id)

    @cached_property
    def casting(self) -> Casting:
        return Casting(
            store=self.store,
            casts=Dispatcher(Streams(self.store, CAST_EVENTS), casting.DECIDER, clock=clock),
            jobs=JobStore(self.store, CAST_JOBS),
            blobs=self.blobs,
            charging=self.workshop.ledger,
            leases=self.leases,
            clock=clock,
            new_id=new_id,
        )

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.store, holder=self.session, clock=clock)

    @cached_property
    def execution(self) -> ExecutionClient:
        return ExecutionClient(
            store=self.store,
            recipes=self.recipes,
            runners=self.runners,
            blobs=self.blobs,
            tracer=self.tracer,
            clock=clock,
            journal_of=Journals(self.casting, self.cook_jobs).of,
        )

    def engine(self, *, slots: int | None = None, work: bool = True) -> Engine:
        """The loops of one process; without ``work`` it folds and sweeps but runs no jobs."""
        queues = [self.cook_jobs, self.casting.jobs]
        worker = Worker(
            store=self.store,
            queues=queues,
            executor=self.execution,
            clock=clock,
            new_id=new_id,
            uniform=random.random,
            options=WorkerOptions(slots=slots or self.settings.slots, lease_ms=self.settings.lease_ms),
            name=f"{socket.gethostname()}:{os.getpid()}",
        )
        owner = Owner(
            store=self.store,
            jobs=self.cook_jobs,
            cooks=self.cooks,
            projector=self.projector,
            leases=self.leases,
            clock=clock,
            window=self.settings.window,
            funding=self.workshop.funding,
        )
        beside = self.workshop.loops(work=work)
        return Engine(
            worker=worker if work else None,
            owner=owner,
            casting=self.casting,
            sweeper=Sweeper(self.store, [*queues, *self.workshop.queues], clock),
            beside=beside,
        )

    def served(self, *, work: bool = True) -> tuple[Engine, Measuring]:
        """The engine of a server, and what its metrics are read from."""
        engine = self.engine(work=work)
        measuring = Measuring(
            store=self.store,
            tables=FOLLOWED,
            queues=engine.sweeper.queues,
            metrics=self.metrics,
            clock=clock,
            lost=lambda: engine.leases_lost,
        )
        self.metrics.reading("cauldron_disk_free_bytes", self.free_bytes)
        engine.beside += [("replays", self.replays), ("metrics", measuring)]
        return engine, measuring

    @asynccontextmanager
    async def running(self, *, slots: int | None = None, work: bool = True) -> AsyncIterator[Engine]:
        """An engine at work while the block runs; it drains at the end.

        Raises:
            Unavailable: one of its loops died.
        """
        async with self.engine(slots=slots, work=work).at_work() as engine:
            yield engine

    def free_bytes(self) -> int:
        """Room left where blobs are kept; in S3 as good as endless."""
        path = self.settings.blobs_path
        return ENDLESS_BYTES if path is None else shutil.disk_usage(existing(path)).free


@asynccontextmanager
async def studio(settings: Settings | None = None) -> AsyncIterator[Studio]:
    """An open studio with the settings in force."""
    app = Studio(settings or load_settings())
    try:
        await app.open()
        yield app
    finally:
        await app.close()

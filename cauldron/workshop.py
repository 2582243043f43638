"""Services that the HTTP API and the command line share, wired over the studio's own parts."""

import os
import random
import socket
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from cauldron.adapters.directory import Directory
from cauldron.adapters.export_shelf import ExportShelf
from cauldron.adapters.signing_keys import FolderKeyring
from cauldron.config import Settings, setting_error
from cauldron.domain.cook_state import Cook
from cauldron.engine import Loop
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.tables import EXPORT_JOBS
from cauldron.ports.blobs import BlobStore
from cauldron.ports.payments import PaymentRail
from cauldron.ports.pictures import Pictures
from cauldron.ports.sharing import ShareCards
from cauldron.ports.storage import Store
from cauldron.ports.webhooks import WebhookSender
from cauldron.services.adopting import Adopting
from cauldron.services.analysing import Analysing
from cauldron.services.callbacks import PLATFORM, Callbacks
from cauldron.services.casting import Caller, Casting
from cauldron.services.collecting import Collecting
from cauldron.services.cooking import Cooking
from cauldron.services.dispatch import Dispatcher
from cauldron.services.export_jobs import ExportExecutor, ExportJobs
from cauldron.services.forecasting import Forecasting
from cauldron.services.funding import CookFunding
from cauldron.services.invoice_tokens import InvoiceTokens
from cauldron.services.invoicing import Invoicing
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import Books, LedgerSweeper, bookkeeper
from cauldron.services.ledger_captures import capture_followers
from cauldron.services.ledger_checking import LedgerCheck
from cauldron.services.media_access import MediaAccess
from cauldron.services.offering import Offering
from cauldron.services.paid_casting import PaidCasting
from cauldron.services.payments import Payments
from cauldron.services.piece_listing import PieceListing
from cauldron.services.recipes import Recipes
from cauldron.services.review_queue import ReviewQueue
from cauldron.services.spell_stats import SpellStats
from cauldron.services.sponsoring import Sponsoring
from cauldron.services.statements import Statements
from cauldron.services.stream_tickets import StreamTickets
from cauldron.services.thumbnails import Thumbnails
from cauldron.services.uploading import Uploading
from cauldron.services.webhook_gate import Gate
from cauldron.services.webhook_secrets import WebhookSecrets
from cauldron.services.working import Worker, WorkerOptions

if TYPE_CHECKING:
    from cauldron.ports.measuring import Metrics
    from cauldron.services.invoicing import Invoicing
    from cauldron.services.shipping import Shipping


class Parts(Protocol):
    """What a studio lends."""

    settings: Settings

    @property
    def store(self) -> Store: ...
    @property
    def blobs(self) -> BlobStore: ...
    @property
    def recipes(self) -> Recipes: ...
    @property
    def cooks(self) -> Dispatcher[Cook]: ...
    @property
    def cooking(self) -> Cooking: ...
    @property
    def casting(self) -> Casting: ...
    @property
    def collecting(self) -> Collecting: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def shipping(self) -> "Shipping": ...
    @property
    def metrics(self) -> "Metrics": ...
    def clock(self) -> int: ...
    def new_id(self) -> str: ...


class Workshop:
    """The services, each made when it is first asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @cached_property
    def pieces(self) -> PieceListing:
        return PieceListing(self._parts.store, self._parts.cooks, self._parts.recipes)

    @cached_property
    def review_queue(self) -> ReviewQueue:
        return ReviewQueue(self._parts.store, self._parts.cooks, self._parts.clock)

    @cached_property
    def analysing(self) -> Analysing:
        return Analysing(self._parts.store, self._parts.cooks, self._parts.recipes)

    @cached_property
    def media(self) -> MediaAccess:
        return MediaAccess(self._parts.store)

    @cached_property
    def gate(self) -> Gate:
        return Gate.of(self._parts.settings.callback_hosts)

    @cached_property
    def webhook_secrets(self) -> WebhookSecrets:
        return WebhookSecrets(self._parts.store, self._parts.clock)

    async def told(self, caller: Caller, url: str | None) -> Caller:
        """Who asks, with where the end of their run is to be told; from now on the log is followed for it.

        Raises:
            InvalidMany: the address is malformed, or leads where callbacks may not go.
        """
        if url is None:
            return caller
        self.gate.target(url)
        await self.webhook_secrets.current(caller.account)
        return replace(caller, platform=PLATFORM, callback_url=url)

    @cached_property
    def sender(self) -> WebhookSender:
        from cauldron.adapters.webhook_sender import CheckedSender  # noqa: PLC0415 - only where it is used

        return CheckedSender(self.gate.admits_text)

    @cached_property
    def callbacks(self) -> Callbacks:
        parts = self._parts
        return Callbacks(
            store=parts.store,
            sender=lambda: self.sender,
            gate=self.gate,
            secrets=self.webhook_secrets,
            leases=parts.leases,
            clock=parts.clock,
            new_id=parts.new_id,
            uniform=random.random,
            count=lambda outcome: parts.metrics.add("cauldron_deliveries_total", outcome=outcome),
        )

    @cached_property
    def pictures(self) -> Pictures:
        from cauldron.adapters.picture_intake import PillowPictures  # noqa: PLC0415 - only where it is used

        return PillowPictures()

    @cached_property
    def uploading(self) -> Uploading:
        parts = self._parts
        return Uploading(parts.store, parts.blobs, self.pictures, parts.clock, parts.new_id)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        return Thumbnails(self._parts.store, self._parts.blobs, self.pictures)

    @cached_property
    def offering(self) -> Offering:
        settings = self._parts.settings
        return Offering(self._parts.store, settings.owner, settings.environment)

    @cached_property
    def share_cards(self) -> ShareCards:
        from cauldron.adapters.share_card import PillowShareCards  # noqa: PLC0415 - only where it is used

        return PillowShareCards()

    @cached_property
    def ledger(self) -> Ledger:
        parts = self._parts
        return Ledger(parts.store, clock=parts.clock, new_id=parts.new_id)

    @cached_property
    def paid_casting(self) -> PaidCasting:
        parts = self._parts
        keys = FolderKeyring(parts.settings.home / "keys", parts.clock)
        return PaidCasting(
            store=parts.store,
            invoicing=Invoicing(self.ledger, InvoiceTokens(keys)),
            casting=parts.casting,
            offering=self.offering,
            stats=self.spell_stats,
            check_media=self.media.check,
            sponsoring=self.sponsoring,
            assets=tuple(parts.settings.payment_assets),
            platform_share_bps=parts.settings.platform_share_bps,
        )

    @cached_property
    def sponsoring(self) -> Sponsoring:
        parts = self._parts
        return Sponsoring(parts.store, parts.clock, parts.settings.environment, parts.new_id)

    @cached_property
    def adopting(self) -> Adopting:
        return Adopting(self._parts.store, self.ledger, self._parts.casting, self._parts.clock)

    @cached_property
    def stream_tickets(self) -> StreamTickets:
        return StreamTickets(self._parts.store, self._parts.clock)

    @cached_property
    def books(self) -> Books:
        return Books(self.ledger)

    @cached_property
    def statements(self) -> Statements:
        return Statements(self.books)

    @cached_property
    def ledger_check(self) -> LedgerCheck:
        return LedgerCheck(self.ledger, self.books)

    @cached_property
    def spell_stats(self) -> SpellStats:
        parts = self._parts
        return SpellStats(parts.store, parts.leases, parts.clock, parts.settings.environment)

    @cached_property
    def forecasting(self) -> Forecasting:
        async def micro_usd_per_point() -> int:
            return (await self.ledger.rate()).micro_usd_per_point

        return Forecasting(self._parts.collecting, self.spell_stats, micro_usd_per_point)

    @cached_property
    def invoicing(self) -> "Invoicing":
        # Loaded when asked for: few commands have to do with tokens.
        from cauldron.adapters.signing_keys import FolderKeyring  # noqa: PLC0415
        from cauldron.services.invoice_tokens import InvoiceTokens  # noqa: PLC0415
        from cauldron.services.invoicing import Invoicing  # noqa: PLC0415

        parts = self._parts
        keyring = FolderKeyring(parts.settings.home / "keys" / "invoices", parts.clock)
        return Invoicing(self.ledger, InvoiceTokens(keyring))

    @cached_property
    def funding(self) -> CookFunding:
        return CookFunding(self.ledger, self._parts.cooks)

    @cached_property
    def rails(self) -> dict[str, PaymentRail]:
        """What takes money, by name; the first one is meant where none is named.

        Raises:
            InvalidMany: a setting is missing, or the extra that it needs.
        """
        settings = self._parts.settings
        key = settings.stripe_secret_key.get_secret_value()
        if not key:
            return {}
        secrets = [each.get_secret_value() for each in settings.stripe_webhook_secrets]
        if not secrets or not all(secrets):
            raise setting_error("stripe_webhook_secrets", "missing", "must be given beside the secret key")
        try:
            from cauldron.adapters.stripe_rail import StripeRail  # noqa: PLC0415 - an extra
        except ImportError:
            raise setting_error("stripe_secret_key", "extra", "needs the extra `stripe`") from None
        return {"stripe": StripeRail(key, secrets=secrets, api_url=settings.stripe_api_url)}

    @cached_property
    def payments(self) -> Payments:
        parts = self._parts
        return Payments(self.ledger, parts.leases, self.rails, parts.settings.environment)

    def ledger_loops(self) -> list[tuple[str, Loop]]:
        """What keeps the books up to date."""
        leases = self._parts.leases
        found: list[tuple[str, Loop]] = [(each.name, each) for each in capture_followers(self.ledger, leases)]
        sweeper = LedgerSweeper(self.books, self.funding.is_used)
        found += [("books", bookkeeper(self.books, leases)), ("ledger", sweeper)]
        return [*found, ("payments", self.payments)] if self.rails else found

    @cached_property
    def export_queue(self) -> JobStore:
        return JobStore(self._parts.store, EXPORT_JOBS)

    @cached_property
    def shelf(self) -> ExportShelf:
        return ExportShelf(self._parts.settings.exports_path)

    @cached_property
    def exports(self) -> ExportJobs:
        parts = self._parts
        return ExportJobs(parts.store, self.export_queue, parts.blobs, self.shelf, parts.clock, parts.new_id)

    @cached_property
    def exporter(self) -> Worker:
        """A worker that does nothing but exports, one at a time."""
        parts = self._parts
        executor = ExportExecutor(
            store=parts.store,
            table=EXPORT_JOBS,
            blobs=parts.blobs,
            shelf=self.shelf,
            shipping=lambda: parts.shipping,
            target=Directory,
            clock=parts.clock,
        )
        return Worker(
            store=parts.store,
            queues=[self.export_queue],
            executor=executor,
            clock=parts.clock,
            new_id=parts.new_id,
            uniform=random.random,
            options=WorkerOptions(slots=1, lease_ms=parts.settings.lease_ms),
            name=f"{socket.gethostname()}:{os.getpid()}",
        )

    @cached_property
    def queues(self) -> list[JobStore]:
        """Queues that the sweeper looks after, too."""
        return [self.export_queue]

    def loops(self, *, work: bool) -> list[tuple[str, Loop]]:
        """What runs beside the engine; without ``work`` nothing that does jobs."""
        found: list[tuple[str, Loop]] = [("exports", self.exports), ("callbacks", self.callbacks)]
        found += [*self.ledger_loops(), ("stats", self.spell_stats), ("guests", self.adopting)]
        return [*found, ("exporter", self.exporter)] if work else found

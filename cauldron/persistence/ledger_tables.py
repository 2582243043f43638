"""The tables of the books: the log itself, what is read from it, and invoices."""

from cauldron.ports.storage import Index, Table

LEDGER = "ledger"  # commits of accounts, holds, creators and rates
POSTINGS = "ledger_postings"  # one document per leg: what statements are read from
ACCOUNTS = "accounts"  # balances
MARKS = "ledger_marks"  # how far each stream is in the balances
BOOK = "ledger_book"  # the batch that is being written into the balances
HOLDS = "holds"
INVOICES = "invoices"
PAYMENTS = "payments"  # purchases of points
PAYMENT_EVENTS = "payment_events"  # what rails told, by their own ids

TABLES: tuple[Table, ...] = (
    Table(
        name=LEDGER,
        feed=True,
        indexes=(
            Index(fields=("stream", "seq"), unique=True),
            Index(fields=("cmds",), unique=True, multi=True),
        ),
    ),
    Table(name=POSTINGS, indexes=(Index(fields=("account", "-at")),)),
    Table(name=ACCOUNTS),
    Table(name=MARKS, indexes=(Index(fields=("nextExpiry",), where={"expires": True}),)),
    Table(name=BOOK),
    Table(
        name=HOLDS,
        indexes=(
            Index(fields=("expiresAt",), where={"state": "open", "expires": True}),
            Index(fields=("owner", "-createdAt")),
            Index(fields=("runId",)),
        ),
    ),
    Table(
        name=INVOICES,
        indexes=(
            Index(fields=("owner", "-createdAt")),
            Index(fields=("offer", "-serial")),
        ),
    ),
    Table(
        name=PAYMENTS,
        indexes=(
            Index(fields=("owner", "-createdAt")),
            Index(fields=("charge",)),
            Index(fields=("lookAt",), where={"watched": True}),
        ),
    ),
    Table(name=PAYMENT_EVENTS, indexes=(Index(fields=("runAt",), where={"status": "pending"}),)),
)

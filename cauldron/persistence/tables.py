"""Every table of the core and its indexes, declared once for every engine."""

from cauldron.ports.storage import Index, Table

COOK_EVENTS = "cook_events"
CAST_EVENTS = "cast_events"
COOK_JOBS = "cook_jobs"
CAST_JOBS = "cast_jobs"
EXPORT_JOBS = "export_jobs"
DELIVERIES = "deliveries"
SPONSORSHIPS = "sponsorships"  # who pays for whom
ADOPTIONS = "adoptions"  # guests who became somebody with a name
TICKETS = "stream_tickets"
MEDIA_GRANTS = "media_grants"
GATES = "gates"
NOT_STARTED = ("held", "queued", "waiting")  # jobs without a lease, not yet settled
BY_LEGACY_ID = Index(fields=("legacyId",), where={"imported": True})  # costs what is made here nothing


def _events(name: str) -> Table:
    return Table(
        name=name,
        feed=True,
        indexes=(
            Index(fields=("stream", "seq"), unique=True),
            Index(fields=("cmds",), unique=True, multi=True),
        ),
    )


def _jobs(name: str) -> Table:
    return Table(
        name=name,
        indexes=(
            Index(fields=("rank",), where={"status": "queued"}),
            Index(fields=("parent",), where={"status": "settled"}),
            Index(fields=("worker",), where={"status": "running"}),
            Index(fields=("runAt",), where={"status": "waiting"}),
            Index(fields=("parent",), where={"status": NOT_STARTED}),
            Index(fields=("parent",), where={"status": "held"}),
            Index(fields=("parent",), where={"status": "failed"}),
        ),
    )


# What the HTTP API keeps beside the records: nothing of it is folded from a stream.
RESOURCES: tuple[Table, ...] = (
    Table(
        name=EXPORT_JOBS,
        indexes=(
            *_jobs(EXPORT_JOBS).indexes,
            Index(fields=("owner", "-createdAt")),
            Index(fields=("owner", "cookId", "-createdAt")),
        ),
    ),
    Table(
        name=DELIVERIES,
        indexes=(
            Index(fields=("runAt",), where={"status": "pending"}),
            Index(fields=("leaseUntil",), where={"status": "sending"}),
            Index(fields=("owner", "-createdAt")),
            Index(fields=("owner", "runId", "-createdAt")),
        ),
    ),
    Table(name="webhook_secrets"),
    Table(
        name="review_leases",
        indexes=(Index(fields=("cookId", "until")), Index(fields=("cookId", "reviewer", "number"))),
    ),
    Table(name="uploads", indexes=(Index(fields=("owner", "-createdAt")),)),
    Table(name=MEDIA_GRANTS, indexes=(Index(fields=("owner",)), Index(fields=("castId",)))),
    Table(name="thumbnails"),
    Table(name=SPONSORSHIPS, indexes=(Index(fields=("owner",)), Index(fields=("initiator",)))),
    Table(
        name=ADOPTIONS, indexes=(Index(fields=("owner",)), Index(fields=("lookAt",), where={"watched": True}))
    ),
    Table(name=TICKETS, indexes=(Index(fields=("account",)), Index(fields=("endsAt",)))),
)

TABLES: tuple[Table, ...] = (
    _events(COOK_EVENTS),
    _events(CAST_EVENTS),
    _jobs(COOK_JOBS),
    _jobs(CAST_JOBS),
    Table(name=GATES),
    Table(name="workers", indexes=(Index(fields=("until",)),)),
    Table(name="leases"),
    Table(name="cursors"),
    Table(name="plans"),
    Table(
        name="collections",
        indexes=(
            Index(fields=("owner", "slug"), unique=True),
            Index(fields=("owner", "-updatedAt")),
            BY_LEGACY_ID,
        ),
    ),
    Table(
        name="cooks",
        indexes=(
            Index(fields=("collectionId", "-startedAt")),
            Index(fields=("owner", "-startedAt")),
            BY_LEGACY_ID,
        ),
    ),
    Table(
        name="cook_status",
        indexes=(
            Index(fields=("state",)),
            Index(fields=("collectionId", "owner", "-startedAt")),
            Index(fields=("owner", "-startedAt")),
        ),
    ),
    Table(
        name="pieces",
        indexes=(
            Index(fields=("cookId", "state", "number")),
            Index(fields=("cookId", "number")),
            Index(fields=("output.media", "owner")),
            BY_LEGACY_ID,
        ),
    ),
    Table(
        name="generationOutputs",
        indexes=(
            Index(fields=("toolDisplayName", "-requestTimestamp")),
            Index(fields=("castId",)),
            Index(fields=("cookId",)),
            Index(fields=("cacheKey",)),
            Index(fields=("owner", "-requestTimestamp")),
            BY_LEGACY_ID,
        ),
    ),
    Table(
        name="casts",
        indexes=(
            Index(
                fields=("owner", "-startedAt"), where={"cookId": None}
            ),  # those inside cooks are found by id
            Index(fields=("spellId", "-startedAt")),
            Index(fields=("cookId", "-startedAt"), where={"imported": True}),
            BY_LEGACY_ID,
        ),
    ),
    Table(name="exports", indexes=(Index(fields=("cookId", "-createdAt")),)),
    *RESOURCES,
)

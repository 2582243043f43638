"""What an audit looks for: the rules with their bounds, what breaks them, and the report.

A rule bounds the share of records that break it among those it concerns. Everything
here is a function of documents and an instant; ``services/auditing`` reads the store.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import Invalid
from cauldron.domain.generation import TERMINAL
from cauldron.domain.times import from_iso, iso

DAY_MS = 86_400_000
IN_TIME_MS = 5 * 60_000  # from the webhook to a terminal status
MOST_SAMPLES = 10
MOST_REASONS = 50  # kinds of reasons counted per rule
REPORT_VERSION = 1
Doc = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is looked for. ``limit`` is the largest share of faulty records that is fine.

    With ``below`` the share must stay below the limit; ``bound`` says it in words.
    """

    name: str
    title: str
    limit: float
    bound: str
    below: bool = False

    def holds(self, *, found: int, checked: int) -> bool:
        """Whether ``found`` faulty ones among ``checked`` are within the bound."""
        if not found:
            return True
        share = found / max(1, checked)
        return share < self.limit if self.below else share <= self.limit


RULES: tuple[Rule, ...] = (
    Rule(
        name="lingering-outputs",
        title="generation outputs pending or processing for more than a day",
        limit=0.01,
        bound="< 1 %",
        below=True,
    ),
    Rule(
        name="lingering-jobs",
        title="jobs queued, running, waiting or settled for more than a day",
        limit=0.01,
        bound="< 1 %",
        below=True,
    ),
    Rule(
        name="lingering-casts",
        title="casts running for more than a day",
        limit=0.01,
        bound="< 1 %",
        below=True,
    ),
    Rule(
        name="lingering-cooks",
        title="cooks that cook, and have not moved for a day",
        limit=0.01,
        bound="< 1 %",
        below=True,
    ),
    Rule(
        name="settled-late",
        title="not terminal within 5 minutes of the webhook",
        limit=0.05,
        bound="≤ 5 %",
    ),
    Rule(
        name="duration-missing",
        title="completed outputs without a duration",
        limit=0.01,
        bound="≤ 1 %",
    ),
    Rule(
        name="cost-missing",
        title="completed outputs without a known cost",
        limit=0.01,
        bound="≤ 1 %",
    ),
    Rule(
        name="links",
        title="links to a parent that are missing or lead nowhere",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="projections",
        title="read models that differ from their event stream",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="deliveries-stuck",
        title="results owed to a platform for more than a day",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="ledger",
        title="postings that do not balance",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="test-records",
        title="records of tests in a live environment",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="schema",
        title="documents that break their published JSON Schema",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="blobs-missing",
        title="blobs that a record names and that are not stored",
        limit=0.0,
        bound="0",
    ),
    Rule(
        name="dead-letters",
        title="jobs given up after their attempts",
        limit=0.05,
        bound="≤ 5 %",
    ),
)
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}


@dataclass(slots=True)
class Tally:
    """What one rule has come to so far."""

    rule: Rule
    checked: int = 0
    found: int = 0
    absent: str = ""  # why the rule does not apply here; empty when it does
    samples: list[dict[str, str]] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    def note(self, table: str, doc_id: object, reason: str, *, kind: str = "") -> None:
        """One faulty record; ``kind`` is what it is counted under, the reason unless given."""
        self.found += 1
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append({"table": table, "id": str(doc_id), "reason": reason})
        kind = kind or reason
        if kind in self.reasons or len(self.reasons) < MOST_REASONS:
            self.reasons[kind] = self.reasons.get(kind, 0) + 1

    @property
    def ok(self) -> bool:
        return bool(self.absent) or self.rule.holds(found=self.found, checked=self.checked)

    def document(self) -> dict[str, Any]:
        """``{rule, title, applies, why?, checked, found, share, bound, ok, reasons, samples}``"""
        body: dict[str, Any] = {
            "rule": self.rule.name,
            "title": self.rule.title,
            "applies": not self.absent,
            "checked": self.checked,
            "found": self.found,
            "share": round(self.found / self.checked, 6) if self.checked else 0.0,
            "bound": self.rule.bound,
            "ok": self.ok,
            "reasons": dict(sorted(self.reasons.items(), key=lambda kv: -kv[1])),
            "samples": self.samples,
        }
        return body | {"why": self.absent} if self.absent else body


Check = Callable[[Doc, int], str | None]  # (document, now ms) -> None: not concerned, "": fine, else why not


def _age(value: Any, now: int) -> int | None:
    """Milliseconds since an instant in a record, as ISO text or a number; None when it is neither."""
    if isinstance(value, int):
        return now - value
    try:
        return now - from_iso(value)
    except (ValueError, TypeError):
        return None


def _stale(value: Any, now: int) -> bool:
    """Whether an instant is more than a day ago; what cannot be read counts as old."""
    if isinstance(value, str):
        return value < iso(now - DAY_MS)
    age = _age(value, now)
    return age is None or age > DAY_MS


def _ended(doc: Doc) -> bool:
    return doc.get("status") in tuple(TERMINAL)  # a broken status may be unhashable


def lingering_output(doc: Doc, now: int) -> str | None:
    """An execution that has begun and never ended."""
    if _ended(doc) or not _stale(doc.get("requestTimestamp"), now):
        return ""
    return f"{doc.get('status')} for more than a day"


UNFINISHED_JOBS = ("queued", "running", "waiting", "settled")  # held ones wait for a person


def lingering_job(doc: Doc, now: int) -> str | None:
    """A job that nothing has moved for a day; one that waits for an instant lingers from then on."""
    status = doc.get("status")
    if status not in UNFINISHED_JOBS:
        return ""
    since = doc.get("updatedAt")
    due = doc.get("runAt")
    if status == "waiting" and isinstance(since, int) and isinstance(due, int):
        since = max(since, due)
    return f"{status} for more than a day" if _stale(since, now) else ""


def lingering_cast(doc: Doc, now: int) -> str | None:
    """A cast that runs for more than a day."""
    running = doc.get("status") == "running" and _stale(doc.get("startedAt"), now)
    return "running for more than a day" if running else ""


def lingering_cook(doc: Doc, now: int) -> str | None:
    """A cook that cooks but has not committed anything for a day."""
    stuck = doc.get("state") == "Cooking" and _stale(doc.get("updatedAt"), now)
    return "Cooking without a commit for more than a day" if stuck else ""


def settled_late(doc: Doc, now: int) -> str | None:
    """An end that was not recorded within five minutes of the webhook that reported it."""
    told = _age(doc.get("webhookReceivedAt"), now)
    if told is None:
        return None
    if not _ended(doc):
        return None if told <= IN_TIME_MS else f"{doc.get('status')} after its webhook"
    ended = _age(doc.get("responseTimestamp"), now)
    if ended is not None and told - ended <= IN_TIME_MS:
        return ""
    return "settled more than 5 minutes after its webhook"


def duration_missing(doc: Doc, now: int) -> str | None:
    """A completed execution that does not say how long it took."""
    if doc.get("status") != "success":
        return None
    duration: Any = doc.get("durationMs")
    return "" if _is_number(duration) and duration >= 0 else "no duration"


def cost_missing(doc: Doc, now: int) -> str | None:
    """A completed execution whose cost is absent or unknown: a default is no measurement."""
    if doc.get("status") != "success":
        return None
    if doc.get("costSource") in (None, "", "unknown"):
        return "the cost is unknown"
    return "" if _is_number(doc.get("costUsd")) else "no cost"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def delivery_stuck(doc: Doc, now: int) -> str | None:
    """A result that is owed to a platform and was not delivered within a day of its end."""
    if doc.get("deliveryStatus") != "pending":
        return ""
    if doc.get("notificationPlatform") == "none":
        return "pending, but nothing is owed to the platform none"
    since = doc.get("responseTimestamp")
    late = _ended(doc) and _stale(since, now)
    return "pending for more than a day" if late else ""


def dead_letter(doc: Doc, now: int) -> str | None:
    """A job that was given up."""
    return "given up" if doc.get("status") == "failed" else ""


CHECKS: Mapping[str, Sequence[tuple[str, Check]]] = {
    "generationOutputs": (
        ("lingering-outputs", lingering_output),
        ("settled-late", settled_late),
        ("duration-missing", duration_missing),
        ("cost-missing", cost_missing),
        ("deliveries-stuck", delivery_stuck),
    ),
    "cook_jobs": (("lingering-jobs", lingering_job), ("dead-letters", dead_letter)),
    "cast_jobs": (("lingering-jobs", lingering_job), ("dead-letters", dead_letter)),
    "casts": (("lingering-casts", lingering_cast),),
    "cook_status": (("lingering-cooks", lingering_cook),),
}


def report_document(
    tallies: Iterable[Tally], *, environment: str, engine: str, at: int, records: int, seconds: float
) -> dict[str, Any]:
    """The report: what was looked at, where and when, and one entry per rule."""
    rules = [tally.document() for tally in tallies]
    return {
        "cauldronAudit": REPORT_VERSION,
        "ok": all(rule["ok"] for rule in rules),
        "environment": environment,
        "engine": engine,
        "at": iso(at),
        "records": records,
        "seconds": round(seconds, 3),
        "rules": rules,
    }


def compare(old: Any, new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What became of each rule since an earlier report: ``{rule, before, after, change}``.

    ``change`` is better, worse, same, or new where the earlier report says nothing.

    Raises:
        Invalid: ``old`` is no report of an audit.
    """
    before = _entries(old)
    return [_change(rule, before.get(rule["rule"])) for rule in new["rules"] if rule["applies"]]


def _entries(report: Any) -> dict[str, dict[str, Any]]:
    rules = report.get("rules") if isinstance(report, dict) else None
    if not isinstance(rules, list) or report.get("cauldronAudit") != REPORT_VERSION:
        raise Invalid("this is no report of an audit", path="compare")
    entries = {str(r.get("rule")): r for r in rules if isinstance(r, dict) and r.get("applies")}
    for name, rule in entries.items():
        if not _is_number(rule.get("found")) or not _is_number(rule.get("share")):
            raise Invalid(f"rules.{name}: found and share must be numbers", path=f"rules.{name}")
    return entries


def _change(rule: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    after = {key: rule[key] for key in ("found", "share", "ok")}
    if before is None:
        return {"rule": rule["rule"], "before": None, "after": after, "change": "new"}
    was, now = before["share"], rule["share"]
    change = "same" if was == now else "worse" if now > was else "better"
    earlier = {key: before.get(key) for key in ("found", "share", "ok")}
    return {"rule": rule["rule"], "before": earlier, "after": after, "change": change}

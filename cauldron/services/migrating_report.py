"""What a migration tells: counts per rule and collection, samples, totals, and a line per document."""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import orjson

from cauldron.domain.legacy.mapping import CASTS, OUTPUTS, PIECES, STATUS
from cauldron.ports.legacy import Fault
from cauldron.services.migrating_blocks import LATER, MAPPED, Entry

SAMPLES = 5  # per rule
Line = Callable[[bytes], object]


class Report:
    """Counts as documents pass; ``line`` gets one JSON line per document."""

    def __init__(self, line: Line | None = None) -> None:
        self._line = line
        self.rules: Counter[str] = Counter()
        self.samples: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.read: dict[str, Counter[str]] = defaultdict(Counter)  # part -> verdict group -> documents
        self.reasons: Counter[str] = Counter()
        self.records: Counter[str] = Counter()  # table -> records
        self.states: dict[str, Counter[str]] = {t: Counter() for t in (OUTPUTS, PIECES, CASTS, STATUS)}
        self.cost_micro_usd = 0
        self.not_read: list[dict[str, Any]] = []
        self.documents = 0

    def add(self, part: str, entry: Entry) -> None:
        """One document and what became of it."""
        self.documents += 1
        doc_id, verdict, detail, (records, notes, _) = entry
        if verdict == MAPPED:
            self.read[part]["mapped"] += 1
        elif verdict == LATER:
            self.read[part]["later"] += 1
            notes = ["left_for_later"]
        else:
            self.read[part]["setAside"] += 1
            self.reasons[verdict] += 1
            notes = [*notes, f"set_aside.{verdict}"]
        rules, samples = self.rules, self.samples
        for note in dict.fromkeys(notes):
            rules[note] += 1
            if rules[note] <= SAMPLES:
                samples[note].append({"in": part, "id": doc_id})
        for table, record in records:
            self.records[table] += 1
            if table in self.states:
                self.states[table][record.get("status") or record.get("state") or ""] += 1
        if self._line is not None:
            self._line(_line(part, entry, notes, detail))

    def summary(self, faults: list[Fault]) -> dict[str, Any]:
        """Everything but the lines, ready for JSON."""
        return {
            "documents": self.documents,
            "collections": {name: dict(counts) for name, counts in sorted(self.read.items())},
            "notRead": self.not_read,
            "records": dict(sorted(self.records.items())),
            "rules": {
                rule: {"count": count, "samples": self.samples[rule]}
                for rule, count in sorted(self.rules.items(), key=lambda found: (-found[1], found[0]))
            },
            "setAside": dict(sorted(self.reasons.items())),
            "totals": {
                "costMicroUsd": self.cost_micro_usd,
                "costUsd": self.cost_micro_usd / 1_000_000,
                "generationOutputs": dict(sorted(self.states[OUTPUTS].items())),
                "pieces": dict(sorted(self.states[PIECES].items())),
                "casts": dict(sorted(self.states[CASTS].items())),
                "cooks": dict(sorted(self.states[STATUS].items())),
            },
            "faults": [{"in": f.part, "wholeDocuments": f.documents, "reason": f.reason} for f in faults],
        }


def _line(part: str, entry: Entry, notes: list[str], detail: str) -> bytes:
    body: dict[str, Any] = {"in": part, "id": entry.doc_id, "verdict": _verdict(entry.verdict)}
    if entry.verdict not in (MAPPED, LATER):
        body |= {"reason": entry.verdict, "detail": detail}
    body["to"] = [f"{table}/{record['_id']}" for table, record in entry.mapped.records]
    body["rules"] = notes
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def _verdict(verdict: str) -> str:
    return verdict if verdict in (MAPPED, LATER) else "setAside"

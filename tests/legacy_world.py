"""A seeded database of the earlier system with every shape it ever wrote, and the truth about it.

The world decides what happened (which execution cost what, which piece was approved)
and only then how it was written down; the truth never looks at what was written.
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import bson
from bson import Binary, Decimal128, Int64, ObjectId, json_util

START_S = 1_754_000_000  # 2025-07-31
NOW_MS = 1_773_500_000_000  # 2026-03-14
TOOLS = {"comfy-" + "ab" * 32: "fluxpro", "dall-e": "dalle", "ffmpeg-cut": "cut", "str-join": "join"}
TOOL_IDS = list(TOOLS)
CANARY = "CANARY"
Doc = dict[str, Any]


@dataclass
class Truth:
    """What really happened."""

    outputs: Counter[str] = field(default_factory=Counter)  # our status -> executions
    pieces: Counter[str] = field(default_factory=Counter)
    casts: Counter[str] = field(default_factory=Counter)
    cooks: Counter[str] = field(default_factory=Counter)
    cost_micro: int = 0
    cast_cost: dict[str, int] = field(default_factory=dict)
    cook_cost: Counter[str] = field(default_factory=Counter)
    cook_made: Counter[str] = field(default_factory=Counter)
    links: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)  # output -> cast, cook
    set_aside: Counter[str] = field(default_factory=Counter)
    collections: dict[str, str] = field(default_factory=dict)  # key -> name that won
    spells: set[str] = field(default_factory=set)
    later: int = 0
    documents: int = 0


class World:
    """Documents as they come into being. ``detail`` False keeps no truth per document."""

    def __init__(self, seed: int, *, documents: int, detail: bool = True) -> None:
        self.random = random.Random(seed)
        self.truth = Truth()
        self.wanted, self.detail = documents, detail
        self._second, self._counter = START_S, 0
        self.users = [self.oid() for _ in range(40)]
        self.spell_ids = [self.oid() for _ in range(12)]
        self.collection_ids = [self._uuid() for _ in range(30)]
        self.closing: list[tuple[str, str, Doc]] = []  # documents of small collections

    # --- small things -------------------------------------------------------------------------

    def oid(self) -> ObjectId:
        self._counter += 1
        return ObjectId(self._second.to_bytes(4, "big") + self._counter.to_bytes(8, "big"))

    def _uuid(self) -> str:
        text = f"{self.random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *values: Any) -> Any:
        return values[self.random.randrange(len(values))]

    def date(self, seconds: float) -> Any:
        when = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=0)
        return self.pick(when, when, when.strftime("%Y-%m-%dT%H:%M:%S.000Z"))

    def secret(self) -> str:
        return f"{CANARY}{self.random.getrandbits(64):016x}"

    def owner(self, user: ObjectId) -> Any:
        return self.pick(user, user, str(user))

    # --- an execution -------------------------------------------------------------------------

    def cost(self, micro: int) -> tuple[Any, int | None]:
        """A cost as it may have been written, and what can be read of it."""
        usd = Decimal(micro) / 1_000_000
        form = self.random.randrange(7)
        if form == 0:
            return Decimal128(usd), micro
        if form == 1:
            return float(usd), micro
        if form == 2:
            return str(usd), micro
        if form == 3:
            return {"$numberDecimal": str(usd)}, micro
        if form == 4:
            return None, None
        if form == 5:
            return self.pick("n/a", "free", float("nan"), -0.5), None
        return Decimal128(usd.quantize(Decimal("0.0000000001"))), micro

    def payload(self) -> Any:
        url = f"https://cdn.example.org/{self.random.getrandbits(40):x}.png"
        video = url.replace(".png", ".mp4")
        return self.pick(
            [{"type": "image", "data": {"images": [{"url": url}]}}],
            [{"data": {"images": [{"url": url}], "text": ["a caption"]}}],
            [{"data": {"files": [{"url": video, "filename": "v.mp4"}]}}],
            [url, url],
            url,
            "just a text",
            {"result": "a text"},
            {"text": ["one", "two"]},
            {"response": "hello"},
            {"description": "a fox"},
            {"images": [url, {"url": url}]},
            {"imageUrl": url},
            {"videoUrl": video},
            {"artifactUrls": [url]},
            {"files": [{"url": url, "type": "image"}]},
            {"outputs": [{"type": "image", "data": {"images": [{"url": url}]}}]},
            {"20": {"node_meta": {"title": "Save"}, "data": {"images": [{"url": url}]}}},
            {"3": [url]},
            {"data": {"images": [{"url": f"{url}?X-Amz-Signature={self.secret()}"}]}},
        )

    def output(
        self,
        *,
        user: ObjectId,
        micro: int | None = None,
        final_of: int | None = None,
        cast: Any = None,
        cook: Any = None,
        step: int | None = None,
        status: str | None = None,
        review: str | None = None,
        collection: str | None = None,
        job: Any = None,
        place: int | None = None,
        linked: str = "any",
        tool: str | None = None,
    ) -> tuple[Doc, int | None]:
        """(document, what can be read of its cost). ``final_of`` is a cast's whole cost."""
        self._second += self.random.randrange(1, 30)
        one = self.oid()
        start = self._second
        spent = final_of if final_of is not None else (micro or self.random.randrange(1, 90_000))
        written, readable = self.cost(spent)
        if final_of is not None and readable is None:
            written, readable = float(Decimal(spent) / 1_000_000), spent
        ours = status or self.random.choices(["success", "failed", "cancelled", "stale"], [80, 8, 3, 4])[0]
        tool = tool or self.pick(*TOOL_IDS)
        meta: Doc = {"userInputPrompt": "a fox", "costRate": {"amount": 0.0005, "unit": "second"}}
        doc: Doc = {
            "_id": one,
            "masterAccountId": self.owner(user),
            "serviceName": self.pick("comfyui", "openai", "string"),
            "toolId": tool,
            "status": self._status(ours),
            "requestTimestamp": self.date(start),
            "requestPayload": {"input_prompt": "a fox in the wood", "input_seed": Int64(7)},
            "notificationPlatform": self.pick("telegram", "discord", "none", "web-sandbox"),
            "deliveryStatus": self.pick(
                "pending", "sent", "failed", "skipped", "none", "migrated", "processing"
            ),
            "metadata": meta,
        }
        if written is not None or self.chance(0.5):
            doc["costUsd"] = written
        if ours != "stale":
            doc["responseTimestamp"] = self.date(start + self.random.randrange(-2, 60))
        if ours == "success":
            doc[self.pick("responsePayload", "responsePayload", "outputs", "artifactUrls")] = self.payload()
        if self.chance(0.7):
            doc["toolDisplayName"] = TOOLS.get(tool, "spell")
        self._garnish(doc, meta, step=step, final=final_of is not None)
        self._link(
            doc, meta, cast=cast, cook=cook, collection=collection, job=job, place=place, linked=linked
        )
        if review:
            target = doc if self.chance(0.5) else meta
            target.update(self._review(review))
        self.truth.outputs["timeout" if ours == "stale" else ours] += 1
        if self.detail:
            self.truth.links[str(one)] = (str(cast) if cast else None, str(cook) if cook else None)
        return doc, readable

    def _status(self, ours: str) -> str:
        words = {
            "success": ["success", "completed"],
            "failed": ["failed", "payment_failed", "error"],
            "cancelled": ["cancelled", "cancelled_by_user"],
            "stale": ["pending", "processing"],
        }
        return self.pick(*words.get(ours, [ours]))

    def _garnish(self, doc: Doc, meta: Doc, *, step: int | None, final: bool) -> None:
        if step is not None:
            doc["deliveryStrategy"] = "spell_final" if final else "spell_step"
            meta |= {
                "stepIndex": step,
                "isSpell": True,
                "spell": {"name": "x", "webhookSecret": self.secret()},
            }
        if self.chance(0.1):
            meta["webhookSecret"] = self.secret()
        if self.chance(0.05):
            doc["requestPayload"] |= {
                "apiKey": self.secret(),
                "headers": {"Authorization": f"Bearer {self.secret()}"},
            }
        if self.chance(0.05):
            doc["requestPayload"]["note"] = f"use sk-{self.secret()}{self.secret()} please"
        if self.chance(0.05):
            meta["wallet"] = {"address": "0x" + "ab" * 20, "privateKey": "0x" + self.secret().encode().hex()}
        if self.chance(0.1):
            doc |= {
                "ratings": {"beautiful": [str(self.users[0])], "funny": []},
                "futureField": {"deep": [1, 2.5]},
            }
        if self.chance(0.02):
            doc["blob"] = Binary(b"\x00\x01\xff")

    def _link(
        self, doc: Doc, meta: Doc, *, cast: Any, cook: Any, collection: Any, job: Any, place: Any, linked: str
    ) -> None:
        if cast is not None:
            where, name = self.pick((doc, "castId"), (meta, "castId"), (doc, "spellCastId"))
            where[name] = self.pick(cast, str(cast))
        if cook is not None and linked == "any":
            way = self.random.randrange(4)
            if way == 0:
                doc["cookId"] = cook
            elif way == 1:
                meta["cookId"] = str(cook)
            elif way == 2:
                doc["cookExecutionId"] = cook
            else:
                meta["jobId"] = f"{cook}:{place or 0}"
        if job is not None:
            meta["jobId"] = str(job)
        if collection is not None:
            meta |= {"collectionId": collection, "source": "cook", "selectedTraits": {"Hat": "Crown"}}
            doc["notificationPlatform"] = self.pick("cook", "cook-worker", "cook-embedded")
        if place is not None:
            meta["pieceIndex"] = place

    def _review(self, state: str) -> Doc:
        if state == "approved":
            return {"reviewOutcome": self.pick("accepted", "approved")}
        if state == "culled":
            return self.pick(
                {"reviewOutcome": "culled"}, {"reviewOutcome": "accepted", "exportExcluded": True}
            )
        if state == "kept":
            return {"reviewOutcome": "accepted", "cullStatus": "keep"}
        return {"reviewOutcome": "rejected"} if state == "rejected" else {}

    # --- stories: each yields documents in the order of their ids -------------------------------

    def lone(self) -> Iterator[tuple[str, str, Doc]]:
        doc, readable = self.output(user=self.pick(*self.users))
        self.truth.cost_micro += readable or 0
        if self.chance(0.02):
            doc.pop("masterAccountId")
        if self.chance(0.02):
            doc["masterAccountId"] = "0xAbCd" + "12" * 18
        yield "noema", "generationOutputs", doc

    def oddity(self) -> Iterator[tuple[str, str, Doc]]:
        doc, _ = self.output(user=self.users[0], status="success")
        doc["status"] = "exploded"
        self.truth.outputs["success"] -= 1
        self.truth.set_aside["unknown_status"] += 1
        self.truth.links.pop(str(doc["_id"]), None)
        yield "noema", "generationOutputs", doc

    def fresh(self) -> Iterator[tuple[str, str, Doc]]:
        doc, _ = self.output(user=self.users[0], status="success")
        doc |= {
            "status": "processing",
            "requestTimestamp": dt.datetime.fromtimestamp(NOW_MS / 1000 - 60, dt.UTC),
        }
        self.truth.outputs["success"] -= 1
        self.truth.later += 1
        self.truth.links.pop(str(doc["_id"]), None)
        yield "noema", "generationOutputs", doc

    def cast(
        self, *, user: ObjectId | None = None, document: bool = True, **links: Any
    ) -> Iterator[tuple[str, str, Doc]]:
        """A spell's run: steps, and a final that may be a record of its own or the last step."""
        user, cast_id, spell = user or self.pick(*self.users), self.oid(), self.pick(*self.spell_ids)
        ids, known, total = [], 0, 0
        for step in range(self.random.randrange(1, 4)):
            micro = self.random.randrange(1, 60_000)
            doc, readable = self.output(
                user=user, micro=micro, cast=cast_id, step=step, status="success", cook=links.get("cook")
            )
            ids.append(doc["_id"])
            known, total = known + (readable or 0), total + micro
            yield "noema", "generationOutputs", doc
        ending = self.pick("separate", "turned", "none") if not links else self.pick("separate", "turned")
        review = links.pop("review", None)
        if ending != "none":
            own = 0 if ending == "separate" else self.random.randrange(1, 60_000)
            tool = f"spell-{spell}" if ending == "separate" else None
            doc, readable = self.output(
                user=user,
                final_of=total + own,
                cast=cast_id,
                step=9,
                tool=tool,
                status="success",
                review=review,
                **links,
            )
            ids.append(doc["_id"])
            known = max(known, readable or 0)
            yield "noema", "generationOutputs", doc
        self.truth.cost_micro += known
        if links.get("cook"):
            self.truth.cook_cost[str(links["cook"])] += known
        if self.detail:
            self.truth.cast_cost[str(cast_id)] = known
        state = self.pick("completed", "completed", "failed", "running")
        if not document:
            self.truth.casts["completed" if ending != "none" else "failed"] += 1
            return
        self.truth.casts["failed" if state == "running" else state] += 1
        body: Doc = {
            "_id": cast_id,
            "spellId": spell,
            "initiatorAccountId": user,
            "status": state,
            "stepGenerationIds": [*ids, ids[0]],
            "startedAt": self.date(self._second),
            "metadata": {"spellSlug": "s", "webhookSecret": self.secret()},
        }
        if self.chance(0.5):
            body["costUsd"] = 0.5
        yield "noema", "casts", body

    def cook(self, *, by_spell: bool = False, document: bool = True) -> Iterator[tuple[str, str, Doc]]:
        """A cook, perhaps restarted: each document is one of a chain."""
        user, collection = self.pick(*self.users), self.pick(*self.collection_ids)
        for turn in range(self.pick(1, 1, 2, 3)):
            cook_id = self.oid()
            pieces = self.random.randrange(3, 12)
            events = [{"type": "CookStarted", "totalSupply": pieces, "ts": self.date(self._second)}]
            for place in range(pieces):
                review = self.pick("approved", "rejected", "culled", "kept", None)
                yield from self._piece(
                    user, cook_id, collection, place=place, review=review, by_spell=by_spell
                )
                events.append(
                    {"type": "PieceGenerated", "jobId": f"{cook_id}:{place}", "ts": self.date(self._second)}
                )
            state = self.pick("running", "paused", "completed", "stopped", "failed")
            ours = {"completed": "Completed", "failed": "Failed"}.get(state, "Stopped")
            self.truth.cooks[ours if document else "Stopped"] += 1
            if document:
                yield (
                    "noema",
                    "cooks",
                    {
                        "_id": cook_id,
                        "collectionId": collection,
                        "initiatorAccountId": user,
                        "status": state,
                        "targetSupply": pieces,
                        "generatedCount": pieces * 2,
                        "costUsd": 0,
                        "events": events,
                        "generationIds": ["static-image-test"],
                        "startedAt": self.date(self._second),
                        "updatedAt": self.date(self._second + 60),
                        "metadata": {"turn": turn},
                    },
                )

    def _piece(
        self,
        user: ObjectId,
        cook_id: ObjectId,
        collection: str,
        *,
        place: int,
        review: str | None,
        by_spell: bool,
    ) -> Iterator[tuple[str, str, Doc]]:
        if by_spell:
            self.truth.pieces[review or "generated"] += 1
            self.truth.cook_made[str(cook_id)] += 1
            yield from self.cast(user=user, cook=cook_id, collection=collection, place=place, review=review)
            return
        status = self.pick("success", "success", "success", "failed")
        doc, readable = self.output(
            user=user, cook=cook_id, collection=collection, place=place, review=review, status=status
        )
        self.truth.pieces["failed" if status == "failed" else review or "generated"] += 1
        self.truth.cook_made[str(cook_id)] += status == "success"
        self.truth.cost_micro += readable or 0
        self.truth.cook_cost[str(cook_id)] += readable or 0
        yield "noema", "generationOutputs", doc

    def cook_of_2025(self) -> Iterator[tuple[str, str, Doc]]:
        """Events and queue rows in tables of their own, no cook document; only the row's id on the output."""
        user, collection, cook_id = self.pick(*self.users), self._uuid(), self.oid()
        whose = {"collectionId": collection, "userId": str(user)}
        pieces = self.random.randrange(2, 6)
        began = {"_id": self.oid(), "type": "CookStarted", "cookId": cook_id, "totalSupply": pieces}
        self.closing.append(("station", "cook_events", {**began, **whose, "ts": self._now()}))
        for place in range(pieces):
            row = self.oid()
            self.closing.append(
                (
                    "station",
                    "cook_jobs",
                    {
                        "_id": row,
                        "status": self.pick("queued", "running", "done"),
                        "pieceIndex": place,
                        **whose,
                        "userContext": {"apiKey": self.secret()},
                        "attempt": 0,
                    },
                )
            )
            doc, readable = self.output(user=user, cook=cook_id, job=row, linked="row", status="success")
            self.truth.pieces["generated"] += 1
            self.truth.cook_made[str(cook_id)] += 1
            self.truth.cost_micro += readable or 0
            self.truth.cook_cost[str(cook_id)] += readable or 0
            made = {
                "_id": self.oid(),
                "type": "PieceGenerated",
                "jobId": str(row),
                "generationId": str(doc["_id"]),
            }
            for _ in range(2):  # webhook tools emitted it twice
                self.closing.append(
                    ("station", "cook_events", {**made, "_id": self.oid(), **whose, "ts": self._now()})
                )
            yield "noema", "generationOutputs", doc
        if done := self.chance(0.5):
            ended = {"_id": self.oid(), "type": "CookCompleted", **whose, "ts": self._now()}
            self.closing.append(("station", "cook_events", ended))
        self.truth.cooks["Completed" if done else "Stopped"] += 1
        status = {"_id": self.oid(), "key": whose, "state": "cooking", "generationCount": 99}
        self.closing.append(("station", "cook_status", status))
        self.truth.set_aside["counted_anew"] += 1
        self.truth.set_aside["never_run_again"] += pieces

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._second, dt.UTC)

    def documents(self) -> Iterator[tuple[str, str, Doc]]:
        """(database, collection, document) until there are as many as wanted."""
        from tests.legacy_definitions import definitions

        stories = [
            (30, self.lone),
            (1, self.oddity),
            (1, self.fresh),
            (12, self.cast),
            (2, lambda: self.cast(document=False)),
            (6, self.cook),
            (1, lambda: self.cook(document=False)),
            (3, lambda: self.cook(by_spell=True)),
            (2, self.cook_of_2025),
        ]
        for found in definitions(self):
            self.truth.documents += 1
            yield found
        while self.truth.documents + len(self.closing) < self.wanted:
            (story,) = self.random.choices([s for _, s in stories], [w for w, _ in stories])
            for found in story():
                self.truth.documents += 1
                yield found
        for found in self.closing:
            self.truth.documents += 1
            yield found


def write_bson(world: World, folder: Path, *, opener: Any = open, suffix: str = ".bson") -> None:
    """The world as a dump: a folder per database, a file per collection."""
    files: dict[tuple[str, str], Any] = {}
    try:
        for database, collection, doc in world.documents():
            key = (database, collection)
            if key not in files:
                (folder / database).mkdir(parents=True, exist_ok=True)
                files[key] = opener(folder / database / f"{collection}{suffix}", "wb")
            files[key].write(bson.encode(doc))
    finally:
        for file in files.values():
            file.close()


def write_json(world: World, folder: Path, *, style: str) -> None:
    """The same as extended JSON: ``canonical`` or ``relaxed`` lines, or one ``array``."""
    options = json_util.RELAXED_JSON_OPTIONS if style == "relaxed" else json_util.CANONICAL_JSON_OPTIONS
    lines: dict[tuple[str, str], list[str]] = {}
    for database, collection, doc in world.documents():
        text = json_util.dumps(bson.decode(bson.encode(doc)), json_options=options)
        lines.setdefault((database, collection), []).append(text)
    for (database, collection), found in lines.items():
        (folder / database).mkdir(parents=True, exist_ok=True)
        body = "[" + ",\n ".join(json.dumps(json.loads(t), indent=1) for t in found) + "]"
        text = body if style == "array" else "\n".join(found) + "\n"
        (folder / database / f"{collection}.json").write_text(text)

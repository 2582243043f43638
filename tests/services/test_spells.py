"""Drafts and published versions, over the SQLite engine with two handles on one file."""

import asyncio
import copy
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import Duplicate, InvalidMany, NotFound, StaleVersion
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import Snapshot
from cauldron.domain.strict_yaml import read_document
from cauldron.services.spells import TABLES, Spellbook
from tests.domain.spell_samples import POSTCARD, TOOLS

NOW = 1_767_225_600_123


def document(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(read_document(POSTCARD)) | changes


@pytest.fixture
def opened(tmp_path: Path, run: Any) -> Any:
    """Open spellbooks on one file: each call is another handle."""
    stores = []

    def another(**rest: Any) -> Spellbook:
        store = SqliteStore(tmp_path / "store.db")
        stores.append(store)
        run(store.open(TABLES))
        return Spellbook(**{"store": store, "tools": TOOLS, "owner": "ann", "actor": "ann"} | rest)

    yield another
    for store in stores:
        run(store.close())


Opened = Callable[..., Spellbook]


def test_a_new_draft_has_every_field_of_a_record(opened: Opened, run: Any):
    saved = run(opened().save(document(visibility="unlisted"), new_id="s1", now_ms=NOW))
    record = {key: value for key, value in saved.record.items() if key not in ("draft", "_v")}
    assert saved.problems == ()
    assert record == {
        "_id": "s1",
        "schemaVersion": 2,
        "slug": "postcard",
        "name": "Postcard",
        "description": "",
        "visibility": "unlisted",
        "owner": "ann",
        "actor": "ann",
        "environment": "live",
        "previewImages": [],
        "revision": 1,
        "lastVersion": 0,
        "publishedVersion": None,
        "deleted": False,
        "createdAt": "2026-01-01T00:00:00.123Z",
        "updatedAt": "2026-01-01T00:00:00.123Z",
    }
    assert saved.record["draft"]["steps"][0]["id"] == "card"


def test_a_draft_whose_graph_does_not_hold_is_kept_but_not_published(opened: Opened, run: Any):
    book = opened()
    broken = document()
    broken["steps"][1]["tool"] = "noise.fields"
    saved = run(book.save(broken, new_id="s1", now_ms=NOW))
    assert [p.path for p in saved.problems] == ["steps[sky].tool"]
    with pytest.raises(InvalidMany, match="did you mean"):
        run(book.publish("postcard", now_ms=NOW))
    assert run(book.versions("postcard")) == []


def test_a_malformed_draft_leaves_nothing_behind(opened: Opened, run: Any):
    book = opened()
    with pytest.raises(InvalidMany):
        run(book.save(document(steps="none"), new_id="s1", now_ms=NOW))
    assert run(book.all()) == []


def test_saving_again_edits_the_same_spell(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    saved = run(other.save(document(description="More."), new_id="s2", now_ms=NOW + 5))
    assert (saved.record["_id"], saved.record["revision"]) == ("s1", 2)
    assert saved.record["createdAt"] < saved.record["updatedAt"]
    assert [each["_id"] for each in run(book.all())] == ["s1"]


def test_an_edit_from_an_older_revision_is_refused(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW, revision=0))
    run(book.save(document(description="One."), new_id="s2", now_ms=NOW, revision=1))
    with pytest.raises(StaleVersion) as caught:
        run(other.save(document(description="Two."), new_id="s3", now_ms=NOW, revision=1))
    assert caught.value.details["revision"] == 2
    with pytest.raises(StaleVersion):
        run(other.save(document(), new_id="s3", now_ms=NOW, revision=0))
    assert run(book.find("postcard"))["description"] == "One."


def test_of_many_edits_from_one_revision_at_two_handles_one_takes_effect(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))

    async def race() -> list[Any]:
        edits = [
            (book if n % 2 else other).save(
                document(description=f"{n}"), new_id=f"n{n}", now_ms=NOW, revision=1
            )
            for n in range(10)
        ]
        return await asyncio.gather(*edits, return_exceptions=True)

    results = run(race())
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert all(isinstance(result, StaleVersion) for result in results if isinstance(result, Exception))
    assert run(book.find("postcard"))["revision"] == 2


def test_slugs_are_unique_per_owner_and_environment(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    run(book.save(document(name="Other", slug="other"), new_id="s2", now_ms=NOW))
    with pytest.raises(Duplicate, match="'postcard'"):
        run(book.save(document(), new_id="x", now_ms=NOW, spell_id="s2"))
    run(opened(owner="ben").save(document(), new_id="s3", now_ms=NOW))
    run(opened(environment="test").save(document(), new_id="s4", now_ms=NOW))
    assert [each["_id"] for each in run(book.all())] == ["s1", "s2"]


def test_a_slug_can_be_changed_by_id(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    run(book.save(document(slug="card"), new_id="x", now_ms=NOW, spell_id="s1"))
    assert run(book.find("card"))["_id"] == "s1"
    with pytest.raises(NotFound):
        run(book.find("postcard"))
    with pytest.raises(NotFound):
        run(book.save(document(), new_id="x", now_ms=NOW, spell_id="nobody"))


def test_publishing_makes_versions_that_never_change(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    first = run(book.publish("postcard", now_ms=NOW))
    before = run(other.versions("postcard"))
    run(book.save(document(description="More."), new_id="x", now_ms=NOW + 1))
    second = run(other.publish("postcard", now_ms=NOW + 2))
    assert (first.version["version"], second.version["version"]) == (1, 2)
    after = run(book.versions("postcard"))
    assert [each["version"] for each in after] == [2, 1]
    assert after[1:] == before, "the first version is what it was, to the last field"
    snapshot = run(other.snapshot("postcard", version=1))
    assert snapshot.config_hash == first.version["configHash"] == before[0]["configHash"]
    assert run(book.find("postcard"))["publishedVersion"] == 2


def test_the_same_content_is_published_once(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    first = run(book.publish("postcard", now_ms=NOW))
    again = run(book.publish("postcard", now_ms=NOW))
    run(book.save(document(visibility="public", output={"step": "card"}), new_id="x", now_ms=NOW))
    third = run(book.publish("postcard", now_ms=NOW))
    assert (first.new, again.new, third.new) == (True, False, False)
    assert {each.version["_id"] for each in (first, again, third)} == {"s1@1"}
    assert len(run(book.versions("postcard"))) == 1


def test_going_back_to_earlier_content_answers_with_its_version(opened: Opened, run: Any):
    book = opened()
    for text in ("", "More."):
        run(book.save(document(description=text), new_id="s1", now_ms=NOW))
        run(book.publish("postcard", now_ms=NOW))
    run(book.save(document(), new_id="x", now_ms=NOW))
    back = run(book.publish("postcard", now_ms=NOW))
    assert (back.version["version"], back.new) == (1, False)
    record = run(book.find("postcard"))
    assert (record["publishedVersion"], record["lastVersion"]) == (1, 2)
    run(book.save(document(description="Third."), new_id="x", now_ms=NOW))
    assert run(book.publish("postcard", now_ms=NOW)).version["version"] == 3


def test_a_newer_tool_inside_the_range_makes_a_new_version(opened: Opened, run: Any):
    older = ToolSet([tool for tool in TOOLS if (tool.id, tool.version) != ("noise.field", "1.2.0")])
    run(opened(tools=older).save(document(), new_id="s1", now_ms=NOW))
    first = run(opened(tools=older).publish("postcard", now_ms=NOW))
    second = run(opened().publish("postcard", now_ms=NOW))
    assert second.version["version"] == 2
    pinned = Snapshot.from_dict(first.version["snapshot"]).checked.tools["sky"].version
    assert pinned == "1.0.0"


def test_many_publishing_at_once_at_two_handles_make_one_version(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))

    async def race() -> list[Any]:
        return await asyncio.gather(
            *((book if n % 2 else other).publish("postcard", now_ms=NOW) for n in range(10))
        )

    results = run(race())
    assert sum(result.new for result in results) == 1
    assert {result.version["version"] for result in results} == {1}
    assert len(run(book.versions("postcard"))) == 1


def test_publishing_while_another_edits_publishes_a_draft_that_existed(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))

    async def edits() -> None:
        for n in range(5):
            await book.save(document(description=f"{n}"), new_id="x", now_ms=NOW)

    async def race() -> Any:
        return await asyncio.gather(edits(), *(other.publish("postcard", now_ms=NOW) for _ in range(5)))

    published = {result.version["version"]: result.version for result in run(race())[1:]}
    versions = run(book.versions("postcard"))
    assert [each["version"] for each in versions] == list(range(len(versions), 0, -1))
    assert all(version["contentHash"] for version in published.values())
    assert len({each["contentHash"] for each in versions}) == len(versions)
    with pytest.raises(StaleVersion):
        run(other.publish("postcard", now_ms=NOW, revision=1))


@dataclass
class Interrupted:
    """A store that lets something else happen right before each of the first commits."""

    store: SqliteStore
    events: list[Callable[[], Coroutine[Any, Any, Any]]]

    async def commit(self, ops: Any, *, atomic: bool = True) -> Any:
        if self.events:
            await self.events.pop(0)()
        return await self.store.commit(ops, atomic=atomic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def test_an_edit_between_reading_and_publishing_is_not_published_unseen(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    edit = functools.partial(other.save, document(description="Later."), new_id="x", now_ms=NOW)
    late = replace(book, store=Interrupted(book.store, [edit]))
    with pytest.raises(StaleVersion):
        run(late.publish("postcard", now_ms=NOW, revision=1))
    assert run(book.versions("postcard")) == []
    run(replace(book, store=Interrupted(book.store, [edit])).publish("postcard", now_ms=NOW))
    assert [each["document"]["description"] for each in run(book.versions("postcard"))] == ["Later."]


def test_a_spell_deleted_between_reading_and_publishing_is_not_published(opened: Opened, run: Any):
    book, other = opened(), opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    late = replace(
        book, store=Interrupted(book.store, [functools.partial(other.delete, "postcard", now_ms=NOW)])
    )
    with pytest.raises(NotFound):
        run(late.publish("postcard", now_ms=NOW))
    with pytest.raises(NotFound):
        run(book.pinned("s1", version=1))


def test_unpublishing_keeps_the_versions(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    with pytest.raises(NotFound, match="not published"):
        run(book.snapshot("postcard"))
    run(book.publish("postcard", now_ms=NOW))
    assert run(book.snapshot("postcard")).spell_version == 1
    run(book.unpublish("postcard", now_ms=NOW))
    with pytest.raises(NotFound, match="not published"):
        run(book.snapshot("postcard"))
    assert run(book.pinned("s1", version=1)).spell_id == "s1"
    assert run(book.publish("postcard", now_ms=NOW)).new is False
    assert run(book.snapshot("postcard")).spell_version == 1


def test_a_deleted_spell_frees_its_slug_and_keeps_what_was_pinned(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    run(book.publish("postcard", now_ms=NOW))
    run(book.delete("postcard", now_ms=NOW))
    for gone in (book.find("postcard"), book.record("s1"), book.versions("postcard")):
        with pytest.raises(NotFound):
            run(gone)
    assert run(book.pinned("s1", version=1)).spell_version == 1
    assert run(book.save(document(), new_id="s2", now_ms=NOW)).record["_id"] == "s2"
    run(book.delete("postcard", now_ms=NOW))
    assert run(book.save(document(), new_id="s3", now_ms=NOW)).record["_id"] == "s3"


def test_overrides_are_pinned_with_the_version(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    run(book.publish("postcard", now_ms=NOW))
    plain, strong = run(book.snapshot("postcard")), run(book.snapshot("postcard", overrides={"strength": 1}))
    assert plain.config_hash != strong.config_hash
    assert (strong.spell_version, strong.overrides) == (1, {"strength": 1})
    with pytest.raises(InvalidMany):
        run(book.snapshot("postcard", overrides={"strength": 9}))


def test_nobody_sees_the_spells_of_another_owner(opened: Opened, run: Any):
    book, other = opened(), opened(owner="ben")
    run(book.save(document(), new_id="s1", now_ms=NOW))
    run(book.publish("postcard", now_ms=NOW))
    for hidden in (other.find("postcard"), other.record("s1"), other.pinned("s1", version=1)):
        with pytest.raises(NotFound):
            run(hidden)
    assert run(other.all()) == []


def test_preview_images_are_kept_through_edits(opened: Opened, run: Any):
    book = opened()
    run(book.save(document(), new_id="s1", now_ms=NOW))
    image = {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1}
    run(book.show_images("postcard", [image], now_ms=NOW))
    saved = run(book.save(document(description="More."), new_id="x", now_ms=NOW))
    assert saved.record["previewImages"] == [image]


def test_spells_are_listed_latest_change_first_and_in_pages(opened: Opened, run: Any):
    book = opened()
    for n in range(5):
        run(book.save(document(name=f"S{n}"), new_id=f"s{n}", now_ms=NOW + n % 3))
    page = run(book.all(limit=3))
    rest = run(book.all(limit=3, after=[page[-1]["updatedAt"], page[-1]["_id"]]))
    times = [each["updatedAt"] for each in page + rest]
    assert times == sorted(times, reverse=True)
    assert sorted(each["_id"] for each in page + rest) == [f"s{n}" for n in range(5)]


def test_a_missing_spell_is_not_found(opened: Opened, run: Any):
    book = opened()
    for call in (
        book.publish("x", now_ms=NOW),
        book.unpublish("x", now_ms=NOW),
        book.delete("x", now_ms=NOW),
    ):
        with pytest.raises(NotFound, match="no spell 'x'"):
            run(call)
    with pytest.raises(NotFound, match="no version 7"):
        run(book.pinned("x", version=7))

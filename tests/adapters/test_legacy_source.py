"""Dump files: BSON and extended JSON in every spelling give equal documents; damage is told, never fatal."""

import base64
import datetime as dt
import gzip
import json
import uuid

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from hypothesis import given
from hypothesis import strategies as st

from cauldron.adapters.legacy_source import DumpSource, decode, source_for
from cauldron.domain.errors import Invalid, NotFound
from cauldron.ports.legacy import Block, Unreadable

DOC = {
    "_id": ObjectId("65f1a0000000000000000001"),
    "when": dt.datetime(2025, 8, 30, 10, 0, 0, 123000, tzinfo=dt.UTC),
    "cost": Decimal128("0.0123"),
    "long": Int64(2**40),
    "double": 2.5,
    "nan": float("nan"),
    "uuid": Binary(uuid.UUID(int=5).bytes, 4),
    "bytes": Binary(b"\x00\x01\xff"),
    "pattern": Regex("^a"),
    "code": Code("x"),
    "stamp": Timestamp(5, 6),
    "least": MinKey(),
    "most": MaxKey(),
    "null": None,
    "nested": [{"a": [1, {"b": "ü"}]}],
}


def one(form, data):
    (doc,) = decode(Block(form=form, data=data, first=0))
    return doc


def test_every_type_becomes_plain_json():
    doc = one("bson", bson.encode(DOC))
    assert doc["_id"] == "65f1a0000000000000000001"
    assert doc["when"] == "2025-08-30T10:00:00.123Z"
    assert doc["cost"] == {"$numberDecimal": "0.0123"}
    assert doc["nan"] == {"$numberDouble": "NaN"}
    assert doc["uuid"] == str(uuid.UUID(int=5))
    assert doc["bytes"] == {
        "$binary": {"base64": base64.b64encode(b"\x00\x01\xff").decode(), "subType": "00"}
    }
    assert json.loads(json.dumps(doc)) == doc
    assert type(doc["long"]) is int


@pytest.mark.parametrize("options", ["CANONICAL", "RELAXED", "LEGACY"])
def test_extended_json_gives_what_bson_gives(options):
    text = json_util.dumps(
        bson.decode(bson.encode(DOC)), json_options=getattr(json_util, f"{options}_JSON_OPTIONS")
    )
    assert one("json", text.encode()) == one("bson", bson.encode(DOC))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"$date": 1756548000123}', "2025-08-30T10:00:00.123Z"),
        ('{"$date": {"$numberLong": "1756548000123"}}', "2025-08-30T10:00:00.123Z"),
        ('{"$date": "2025-08-30T12:00:00.123+02:00"}', "2025-08-30T10:00:00.123Z"),
        ('{"$binary": "AAH/", "$type": "00"}', {"$binary": {"base64": "AAH/", "subType": "00"}}),
        ('{"$undefined": true}', None),
        ('{"$numberInt": "5"}', 5),
        ('{"$uuid": "00000000-0000-0000-0000-000000000005"}', str(uuid.UUID(int=5))),
        ('{"$regex": "^a", "$options": "i"}', {"$regularExpression": {"pattern": "^a", "options": ""}}),
        ('{"$oid": 5}', "5"),
        ('{"$date": "never"}', {"$date": "never"}),
        ('{"$unknown": 1}', {"$unknown": 1}),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("9223372036854775808", {"$numberDecimal": "9223372036854775808"}),
        ("NaN", {"$numberDouble": "NaN"}),
        ('"\\ud800"', "?"),
    ],
)
def test_old_and_odd_spellings_are_read(text, value):
    assert one("json", f'{{"a": {text}}}'.encode()) == {"a": value}


def test_a_date_beyond_all_calendars_is_kept_as_a_number():
    raw = bson.encode({"a": bson.datetime_ms.DatetimeMS(2**60)})
    assert one("bson", raw) == {"a": {"$date": {"$numberLong": str(2**60)}}}


def test_a_broken_document_harms_no_neighbour():
    good, bad = bson.encode({"a": "xy"}), bson.encode({"a": "xy"}).replace(b"xy", b"\xff\xfe")
    docs = list(decode(Block(form="bson", data=good + bad + good, first=0)))
    assert docs[0] == docs[2] == {"a": "xy"}
    worse = good[:-3] + b"\x09\x09\x00"
    assert isinstance(one("bson", worse), Unreadable)
    found = list(decode(Block(form="json", data=b'{"a": 1}\n{"a": \n[1]\n', first=0)))
    assert [isinstance(doc, Unreadable) for doc in found] == [False, True, True]


@given(st.binary(max_size=60))
def test_no_bytes_make_decoding_fail(data):
    list(decode(Block(form="json", data=data, first=0)))


async def read(*folders):
    source = DumpSource([*folders])
    parts = await source.parts()
    docs = [d for part in parts for block in [b async for b in source.blocks(part)] for d in decode(block)]
    return parts, docs, source.faults


def docs_of(count):
    return [{"_id": number, "text": "x" * 400} for number in range(count)]


def lines_of(docs, joint="\n"):
    return joint.join(map(json.dumps, docs)).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.bson", b"".join(map(bson.encode, docs_of(5_000)))),
        ("a.bson.gz", gzip.compress(b"".join(map(bson.encode, docs_of(5_000))))),
        ("a.json", lines_of(docs_of(5_000))),
        ("a.json", b"\xef\xbb\xbf" + lines_of(docs_of(5_000), joint="\r\n")),
        ("a.jsonl.gz", gzip.compress(lines_of(docs_of(5_000)))),
        ("a.json", b"[" + lines_of(docs_of(5_000), joint=",\n") + b"]"),
        ("a.json", json.dumps(docs_of(5_000), indent=2).encode()),
        ("a.ndjson", "\n".join(json.dumps(doc, indent=1) for doc in docs_of(5_000)).encode()),
    ],
    ids=["bson", "gz", "lines", "lines with mark", "lines gz", "array", "pretty array", "pretty documents"],
)
def test_a_file_of_any_form_gives_all_documents_in_order(tmp_path, run, name, content):
    (tmp_path / name).write_bytes(content)
    parts, docs, faults = run(read(tmp_path))
    assert [part.collection for part in parts] == ["a"]
    assert docs == docs_of(5_000)
    assert faults == []


@pytest.mark.parametrize("name", ["a.bson", "a.bson.gz", "a.json", "a.json.gz", "array.json"])
@pytest.mark.parametrize("share", [0.0, 0.4013, 0.9991])
def test_a_file_that_is_cut_off_gives_its_whole_documents(tmp_path, run, name, share):
    whole = b"".join(map(bson.encode, docs_of(3_000))) if "bson" in name else lines_of(docs_of(3_000))
    whole = b"[" + whole.replace(b"\n", b",") + b"]" if name == "array.json" else whole
    data = gzip.compress(whole) if name.endswith(".gz") else whole
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    _, docs, faults = run(read(tmp_path))
    assert docs == docs_of(3_000)[: len(docs)]
    assert len(faults) == (0 if share == 0 else 1)
    if share and not name.endswith(".gz"):
        assert len(docs) == pytest.approx(3_000 * share, abs=2)
    assert all(fault.documents == len(docs) for fault in faults)


def test_databases_are_folders_and_what_is_no_collection_is_left_alone(tmp_path, run):
    for place in ("noema", "station"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "casts.bson").write_bytes(bson.encode({"_id": place}))
    (tmp_path / "noema" / "casts.metadata.json").write_text("{}")
    (tmp_path / "noema" / "notes.txt").write_text("hello")
    parts, docs, _ = run(read(tmp_path))
    assert [part.name for part in parts] == ["noema.casts", "station.casts"]
    assert [doc["_id"] for doc in docs] == ["noema", "station"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path, run):
    (tmp_path / "outside.bson").write_bytes(bson.encode({"_id": 1}))
    inside = tmp_path / "dump"
    inside.mkdir()
    (inside / "casts.bson").symlink_to(tmp_path / "outside.bson")
    (inside / "cooks.bson").write_bytes(bson.encode({"_id": 2}))
    parts, docs, faults = run(read(inside))
    assert [part.collection for part in parts] == ["cooks"]
    assert [doc["_id"] for doc in docs] == [2]
    assert "link" in faults[0].reason


def test_places_that_make_no_sense_are_refused(tmp_path, run):
    for places in ([], ["mongodb://a/b", "mongodb://c/d"], ["mongodb://a/b", str(tmp_path)]):
        with pytest.raises(Invalid):
            source_for(places)
    with pytest.raises(NotFound):
        run(read(tmp_path / "nowhere"))

"""Payloads: every shape the earlier system wrote gives its results; no value makes reading fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.legacy.payloads import outputs_of, read_payload
from tests.domain.legacy.test_values_and_costs import json_values

URL = "https://cdn.example.org/a/1.png"
PICTURE = {"url": URL, "asset": "remote", "mime": "image/png"}


@pytest.mark.parametrize(
    "payload",
    [
        [{"type": "image", "data": {"images": [{"url": URL}]}}],
        [{"data": {"images": [{"url": URL}]}}],
        [URL],
        URL,
        {"result": URL},
        {"images": [URL]},
        {"imageUrl": URL},
        {"image": {"url": URL}},
        {"artifactUrls": [{"url": URL, "type": "image"}]},
        {"files": [{"url": URL}]},
        {"outputs": [{"outputs": [{"data": {"images": [URL]}}]}]},
        {"20": {"node_meta": {"id": 1}, "data": {"images": [{"url": URL}]}}},
        {"3": [URL]},
        {"data": {"data": URL}},
    ],
)
def test_a_picture_is_found_in_every_shape(payload):
    read = read_payload(payload)
    assert read.whole
    assert outputs_of(read.artifacts) == {"image": PICTURE}


@pytest.mark.parametrize(
    ("payload", "outputs"),
    [
        ("hello", {"text": "hello"}),
        ({"text": "hello"}, {"text": "hello"}),
        ({"text": ["a", "b"]}, {"text": "a", "text2": "b"}),
        ({"response": "hello"}, {"text": "hello"}),
        ({"description": "hello"}, {"text": "hello"}),
        ([{"type": "text", "data": {"text": ["hello"]}}], {"text": "hello"}),
        ({"text": URL}, {"text": URL}),
        (None, {}),
        ([], {}),
        (7, {"value": 7}),
    ],
)
def test_texts_and_nothing_are_read_too(payload, outputs):
    read = read_payload(payload)
    assert read.whole
    assert outputs_of(read.artifacts) == outputs


def test_kinds_follow_the_address_where_nothing_is_said():
    read = read_payload(
        [f"https://x.example.org/{name}" for name in ("a.mp4", "b.wav", "c.glb", "d", "e.png?x=1.zip")]
    )
    assert [a.kind for a in read.artifacts] == ["video", "audio", "file", "file", "image"]


def test_what_says_nothing_to_us_is_told():
    assert not read_payload({"mystery": {"deep": 1}}).whole
    assert not read_payload([{"images": [URL], "strange": 5}]).whole


def test_a_deep_or_endless_payload_is_cut_and_told():
    deep = {"data": URL}
    for _ in range(50):
        deep = {"data": deep}
    assert read_payload(deep) == ([], False)
    wide = read_payload([URL] * 5_000)
    assert len(wide.artifacts) == 1_000 and not wide.whole


words = st.sampled_from(["images", "data", "outputs", "files", "text", "20", "url", "type", "image", "odd"])
payloads = st.recursive(
    st.none() | st.text(max_size=20) | st.just(URL) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(payload=payloads | json_values)
def test_no_payload_makes_reading_fail(payload):
    read = read_payload(payload)
    outputs_of(read.artifacts)


@given(payload=payloads)
def test_no_address_is_lost_from_what_was_read_whole(payload):
    def count(value):
        if isinstance(value, dict):
            return sum(count(v) for k, v in value.items() if k not in ("type",))
        return sum(map(count, value)) if isinstance(value, list) else value == URL

    read = read_payload(payload)
    if read.whole and "url" not in repr(payload).replace(URL, ""):
        assert sum(URL in str(a.value) for a in read.artifacts) == count(payload)

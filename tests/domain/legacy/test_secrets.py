"""Secrets are caught by the name of their field or by their look; everything else stays as it is."""

import pytest
from hypothesis import given

from cauldron.domain.legacy.secrets import REMOVED, clean, clean_text, is_secret_name
from tests.domain.legacy.test_values_and_costs import json_values

NAMES = """
    webhookSecret apiKey api_key x-api-key API-KEY authorization Authorization password passwd accessToken
    refresh_token botToken guestToken token privateKey private_key mnemonic seedPhrase clientSecret jwt
    sessionToken encryptedPrivateKey keystore INTERNAL_API_KEY service_key shareToken wif cookie
"""
HARMLESS = """
    prompt input_seed tokenId tokens maxTokens max_token preferredToken sessionId key keyPrefix name author
    passage seed workflow configHash castId
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_field_of_such_a_name_is_removed(name):
    assert is_secret_name(name)
    assert clean({"a": [{name: "hello"}]}) == {"a": [{name: REMOVED}]}
    assert clean({name: {"deep": 1}}) == {name: REMOVED}


@pytest.mark.parametrize("name", HARMLESS.split())
def test_a_harmless_name_is_left_alone(name):
    body = {name: "hello"}
    assert clean(body) is body


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdefghijklmnopqrstuv",
        "sk_live_abcdefghijklmnop",
        "my key is sk-ABCDEFGHIJKLMNOPQRSTUV, keep it",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_abcdefghijklmnopqrstuv",
        "xoxb-123456789012-abcdef",
        "AKIAABCDEFGHIJKLMNOP",
        "AIzaSyABCDEFGHIJKLMNOPQRSTUVWXYZ0123456",
        "hf_abcdefghijklmnopqrstuvwx",
        "r8_abcdefghijklmnopqrstuvwx",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk",
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\n-----END RSA " + "PRIVATE KEY-----",
        "Bearer abcdefghijklmnop",
        "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
        "mongodb://user:hunter2hunter2@host/db",
        "https://b.example.org/x.png?X-Amz-Signature=abcdef0123&X-Amz-Date=1",
        "https://b.example.org/x.png?token=abcdef0123",
        "0x" + "ab" * 32,
    ],
)
def test_a_text_that_looks_like_a_secret_loses_it(text):
    found = clean({"prompt": text})["prompt"]
    assert REMOVED in found
    for part in ("abcdefghij", "ABCDEFGHIJ", "hunter2", "abab", "MIIabc", "abcdef0123"):
        assert part not in found


def test_hashes_addresses_and_plain_texts_stay():
    body = {
        "txHash": "0x" + "ab" * 32,
        "address": "0x" + "ab" * 20,
        "configHash": "ab" * 32,
        "url": "https://b.example.org/a-b_c/x.png?width=200&v=3",
        "prompt": "a skeleton key, the bearer of tokens, asking for a task_list",
        "id": "3f0e6e0a-0000-4000-8000-000000000000",
    }
    assert clean(body) is body


def test_a_secret_in_a_key_is_removed_too():
    assert clean({"sk-abcdefghijklmnopqrstuv": 1}) == {REMOVED: 1}


@given(value=json_values)
def test_cleaning_twice_changes_nothing_more_and_nothing_makes_it_fail(value):
    once = clean(value)
    assert repr(clean(once)) == repr(once)


def test_what_is_clean_is_handed_on_uncopied():
    body = {"a": [1, {"b": "a long enough text without anything"}], "c": None}
    assert clean(body) is body
    assert clean_text("short") == "short"

"""Names, passwords, scopes and tokens: rules that hold for any text."""

import string
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cauldron.domain.credentials import TOKEN_LENGTH, Token, parse_token
from cauldron.domain.errors import InvalidMany
from cauldron.domain.identity import (
    LEAST_PASSWORD,
    MAX_NAME,
    MAX_PASSWORD_BYTES,
    ROLES,
    SCOPES,
    Forbidden,
    Principal,
    check_label,
    check_password,
    check_role,
    check_scopes,
    normal_name,
    normal_password,
)

hexes = st.text("0123456789abcdef", min_size=32, max_size=32)
secrets = st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43)
kinds = st.sampled_from(["ck", "cs", "ci"])
tokens = st.builds(Token, kinds, hexes, secrets)


@given(tokens, kinds)
def test_a_token_is_read_back_as_its_own_kind_only(token, kind):
    assert len(token.text) == TOKEN_LENGTH
    assert parse_token(token.text, kind) == (token if kind == token.kind else None)


@given(st.text(max_size=100), kinds)
def test_no_text_breaks_the_reading_of_tokens(text, kind):
    parsed = parse_token(text, kind)
    assert parsed is None or parsed.text == text


@given(tokens, tokens)
def test_digests_and_csrf_tokens_tell_tokens_apart_and_hold_nothing_of_them(one, other):
    assume(one.secret != other.secret)
    assert one.digest != other.digest
    assert one.csrf != other.csrf
    for shown in (one.digest, one.csrf, repr(one)):
        assert one.secret not in shown


@given(st.text(max_size=MAX_NAME + 5))
def test_a_name_has_one_spelling_or_is_refused(text):
    try:
        name = normal_name(text)
    except InvalidMany as refused:
        assert [problem.path for problem in refused.problems] == ["name"]
        return
    assert normal_name(name) == name
    assert 1 <= len(name) <= MAX_NAME
    assert not any(character.isspace() or unicodedata.category(character) == "Cc" for character in name)
    assert normal_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "text", ["", "  ", "a b", "a\x00b", "a\nb", "\u200b", "\u202eann", "a\u00a0b", "x" * 255, "\ud800"]
)
def test_names_that_look_like_others_or_like_nothing_are_refused(text):
    with pytest.raises(InvalidMany):
        normal_name(text)


@given(st.text(max_size=60))
def test_a_password_is_kept_in_one_form_or_refused_without_being_repeated(text):
    try:
        password = check_password(text, name="ann")
    except InvalidMany as refused:
        assert [problem.path for problem in refused.problems] == ["password"]
        assert len(text) < 4 or text not in str(refused)
        return
    assert len(password) >= LEAST_PASSWORD
    assert password == normal_password(text) == normal_password(password)


@pytest.mark.parametrize(
    "text",
    [
        "eleven char",
        "aaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
        "ann@studio.exampleann@studio.example",
        "ANN@STUDIO.EXAMPLE",
        "x" * (MAX_PASSWORD_BYTES + 1),
        "é" * 600,
        "twelve chars\ud800",
    ],
)
def test_weak_or_endless_passwords_are_refused(text):
    with pytest.raises(InvalidMany):
        check_password(text, name="ann@studio.example")


def test_one_password_typed_on_two_keyboards_is_one():
    composed, combined = "caf\u00e9 au lait noir", "cafe\u0301 au lait noir"
    assert composed != combined
    assert check_password(composed, name="ann") == check_password(combined, name="ann")


@given(st.sets(st.sampled_from(SCOPES)), st.sets(st.sampled_from(SCOPES)))
def test_scopes_are_given_from_what_one_has(wanted, had):
    within = frozenset(had)
    if not wanted:
        with pytest.raises(InvalidMany):
            check_scopes(wanted, within=within)
    elif wanted <= within:
        assert set(check_scopes(wanted, within=within)) == wanted
    else:
        with pytest.raises(Forbidden):
            check_scopes(wanted, within=within)


def test_only_owners_run_the_place_and_only_services_act_for_others():
    assert [role for role, scopes in ROLES.items() if "admin" in scopes] == ["owner"]
    assert [role for role, scopes in ROLES.items() if "act-for" in scopes] == ["service"]
    assert all(scopes <= set(SCOPES) for scopes in ROLES.values())


@pytest.mark.parametrize(
    ("via", "scopes", "may"),
    [("key", {"edit"}, False), ("key", {"admin"}, True), ("session", set(), True), ("local", set(), True)],
)
def test_a_key_grants_only_with_admin(via, scopes, may):
    who = Principal(account="a", user="u", scopes=frozenset(scopes), via=via)
    if may:
        who.need_grant()
    else:
        with pytest.raises(Forbidden):
            who.need_grant()


def test_labels_and_roles_are_checked():
    assert check_label("  nightly ") == "nightly"
    for wrong in ("x" * 101, "a\nb", "a\x1b[31mb"):
        with pytest.raises(InvalidMany):
            check_label(wrong)
    with pytest.raises(InvalidMany):
        check_role("king")

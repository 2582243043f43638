"""Token numbers: 1, 2, 3… by slot, and what is published stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import Refused
from cauldron.domain.export import ExportPiece, assign_tokens, media_names

PNG = {"media": "sha256:" + "ab" * 32, "mime": "image/png", "sizeBytes": 1}


def a_piece(slot: int) -> ExportPiece:
    return ExportPiece(number=slot + 100, slot=slot, media=(PNG,))


SLOTS = st.lists(st.integers(0, 500), unique=True, max_size=30)


@given(SLOTS)
def test_tokens_follow_the_slots_without_gaps(slots):
    numbered = assign_tokens([a_piece(slot) for slot in slots])
    assert [piece.token for piece in numbered] == list(range(1, len(slots) + 1))
    assert [piece.slot for piece in numbered] == sorted(slots)


@given(SLOTS, st.data())
def test_published_numbers_stay_and_new_ones_follow(slots, data):
    published = data.draw(st.lists(st.sampled_from(slots), unique=True)) if slots else []
    fixed = {slot: token for token, slot in enumerate(published, start=1)}
    numbered = assign_tokens([a_piece(slot) for slot in slots], fixed=fixed)
    assert [piece.token for piece in numbered] == list(range(1, len(slots) + 1))
    assert {piece.slot: piece.token for piece in numbered if piece.slot in fixed} == fixed
    fresh = [piece.slot for piece in numbered if piece.slot not in fixed]
    assert fresh == sorted(fresh)


def test_a_published_number_whose_piece_is_gone_is_refused():
    with pytest.raises(Refused, match="token 2 is published"):
        assign_tokens([a_piece(0)], fixed={0: 1, 1: 2})


def test_published_numbers_with_a_gap_are_refused():
    with pytest.raises(Refused, match="without gaps"):
        assign_tokens([a_piece(0), a_piece(1)], fixed={0: 1, 1: 3})


def test_two_pieces_for_one_slot_are_refused():
    with pytest.raises(Refused, match="both for slot 4"):
        assign_tokens([a_piece(4), a_piece(4)])


def test_files_are_named_by_token_place_and_type():
    odd = {**PNG, "mime": "application/x-unknown"}
    loop = {**PNG, "mime": "VIDEO/MP4; codecs=x"}
    piece = ExportPiece(number=1, slot=1, token=9, media=(PNG, loop, odd))
    assert list(media_names(piece)) == ["9.png", "9-2.mp4", "9-3.bin"]

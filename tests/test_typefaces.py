"""Text in other languages is drawn with a font that has its letters; what none has is left out."""

import pytest

from cauldron import typefaces
from cauldron.adapters.contact_sheet import draw_sheet
from cauldron.adapters.share_card import draw_card
from cauldron.ports.exporting import Tile


def test_english_keeps_the_font_of_its_own():
    assert typefaces.file_for("Lantern Keepers #1") == typefaces.narrow()


@pytest.mark.parametrize("text", ["Grüße aus Köln", "Żółw", "Ночь", "Ελλάδα", "Tiệm phở", "9 €"])
def test_every_letter_of_a_text_has_a_shape(text):
    data = typefaces.file_for(text)
    assert all(typefaces.has(letter, data) for letter in text if letter != " ")
    assert typefaces.drawable(text) == text
    assert typefaces.font_for(text, 20).getname()[0] == "DejaVu Sans"


def test_letters_without_a_shape_are_left_out():
    assert typefaces.drawable("Köln 🤖 夜") == "Köln  "


@pytest.mark.parametrize("draw", [draw_sheet, draw_card])
def test_pictures_show_the_letters_of_a_name(draw, tmp_path):
    pieces = None if draw is draw_card else [Tile(path=tmp_path / "none", label="1", mime="video/mp4")]
    said = [draw(pieces, title=title, caption="") for title in ("Öl", "Ol", "Öl 🤖", "Öl ")]
    assert said[0] != said[1]
    assert said[2] == said[3]

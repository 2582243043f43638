"""The rarity report: everything escaped, nothing from elsewhere, numbers beside the bars."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cauldron.domain.export import ExportPiece
from cauldron.domain.provenance import MerkleTree
from cauldron.domain.rarity import open_rarity
from cauldron.services.export_documents import Proved
from cauldron.services.reporting import MOST_ROWS, render_report
from tests.export_samples import SPEC

NASTY = '<script>alert("1")</script>\'&<img src=x onerror=y>' + "x" * 30
PNG = {"media": "sha256:" + "ab" * 32, "mime": "image/png", "sizeBytes": 1}
PROVED = Proved(tree=MerkleTree([b"\0" * 32]), provenance_hash="ef" * 32)


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text.append(" ".join(data.split()))


def report(traits: list[dict], *, spec=SPEC, **changes) -> str:
    made = [
        ExportPiece(**{"number": i, "slot": i, "token": i + 1, "media": (PNG,), "traits": own, **changes})
        for i, own in enumerate(traits)
    ]
    return render_report(spec, made, traits=traits, rarity=open_rarity(traits), proved=PROVED).decode()


def test_every_text_is_escaped():
    spec = replace(
        SPEC, name=NASTY, description=NASTY, partial=True, counts={NASTY: 1}, planned={NASTY: {NASTY: 3}},
        plan_hash=NASTY, metadata=replace(SPEC.metadata, name=NASTY),
    )  # fmt: skip
    page = Page(report([{NASTY: NASTY}, {NASTY: "other"}], spec=spec, one_of_one=NASTY))
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if ".on" in name]
    assert {value for name, value in page.attributes if name == "img.src"} == {"images/1.png", "images/2.png"}
    assert page.text.count(NASTY) >= 5


def test_nothing_is_fetched_from_elsewhere():
    html = report([{"Hat": "https://example.org/x.png"}] * 3)
    page = Page(html)
    links = [value for name, value in page.attributes if name.endswith((".src", ".href"))]
    assert links
    assert not [link for link in links if re.match(r"[a-z]+:|//", link)]
    assert "url(" not in html
    assert "@import" not in html
    assert not {"script", "iframe", "link", "object"} & set(page.tags)
    policy = dict(page.attributes)["meta.content"]
    assert policy.startswith("default-src 'none'")


def test_counts_shares_and_plan_stand_beside_the_bars():
    spec = replace(SPEC, supply=4, planned={"Hat": {"Cap": 2, "Crown": 1, "Never": 1}})
    text = Page(report([{"Hat": "Cap"}, {"Hat": "Cap"}, {"Hat": "Cap"}, {"Hat": "Crown"}], spec=spec)).text
    rows = [part for part in text if part]
    cap, crown, never = rows.index("Cap"), rows.index("Crown"), rows.index("Never")
    assert rows[cap + 1 : cap + 4] == ["3", "75.0 %", "2"]
    assert rows[crown + 1 : crown + 5] == ["only one", "1", "25.0 %", "1"]
    assert rows[never + 1 : never + 4] == ["0", "0 %", "1"]


def test_of_a_part_of_the_plan_shares_are_compared_on_one_scale():
    """Half of four pieces beside a quarter of eighty planned ones: the mark stands at half of the bar."""
    spec = replace(SPEC, supply=4, planned={"Hat": {"Cap": 20, "Crown": 40}}, planned_pieces=80)
    page = Page(report([{"Hat": "Cap"}, {"Hat": "Cap"}, {"Hat": "Crown"}, {}], spec=spec))
    rows = [part for part in page.text if part]
    cap, without = rows.index("Cap"), rows.index("without")
    assert rows[cap + 1 : cap + 4] == ["2", "50.0 %", "25.0 %"]
    assert rows[without + 1 : without + 5] == ["only one", "1", "25.0 %", "25.0 %"]
    bars = [value for name, value in page.attributes if name == "rect.width"]
    marks = [value for name, value in page.attributes if name == "line.x1"]
    assert bars[-5::2] == ["100", "50", "50"]
    assert marks[-3:] == ["50", "100", "50"]
    assert ("span.class", "off") not in page.attributes


def test_pieces_without_a_trait_are_a_row_of_their_own():
    rows = [part for part in Page(report([{"Hat": "Cap"}, {}, {}, {}])).text if part]
    assert rows[rows.index("without") + 1 :][:2] == ["3", "75.0 %"]


def test_very_many_values_are_cut_and_counted():
    text = " ".join(Page(report([{"Hat": f"value {i}"} for i in range(MOST_ROWS + 7)])).text)
    assert "and 7 more values, each on 1 piece" in text


def test_numbers_are_drawn_as_a_distribution():
    text = Page(report([{"Level": n} for n in (1, 2, 3, 4, 100)])).text
    level = text[text.index("Level") :]
    assert [part for part in level if part in ("middle 3", "1", "100")] == ["middle 3", "1", "100"]


def test_a_far_rarer_piece_does_not_flatten_the_scores():
    traits = [{"A": f"a{i % 5}", "B": f"b{i % 7}"} for i in range(200)] + [
        {"A": "alone", "B": "alone", "C": "alone", "D": "alone"}
    ]
    assert "Not drawn: 1 far rarer piece" in " ".join(Page(report(traits)).text)


def test_traits_keep_the_order_they_have_on_the_pieces():
    page = Page(report([{"Back": "x", "Eyes": "y"}, {"Back": "x", "Hat": "z", "Eyes": "y"}]))
    assert [part for part in page.text if part in ("Back", "Hat", "Eyes")] == ["Back", "Hat", "Eyes"]


@pytest.mark.parametrize("traits", [[{}], [{"A": "x"}], [{"A": 1}, {"A": 1}], [{}, {"A": "x"}]])
def test_tiny_collections_have_a_report(traits):
    assert "Rarest pieces" in report(traits)


def test_a_piece_that_is_no_picture_gets_no_image():
    page = Page(report([{"A": "x"}], media=({**PNG, "mime": "video/mp4"},)))
    assert "img" not in page.tags
    assert "video/mp4" in page.text

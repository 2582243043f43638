"""Reading collection documents: every problem has its path and reason, and documents come back equal."""

import copy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cauldron.domain.collection import check_collection, media_paths, parse_collection
from cauldron.domain.errors import InvalidMany
from cauldron.domain.traits import Range
from tests.domain.collection_samples import document, options, small_documents

FULL = {
    "cauldron": 1,
    "name": "Lantern Keepers",
    "description": "Small lights.",
    "supply": 24,
    "seed": "lanterns",
    "generator": {
        "tool": "layers.compose",
        "version": "1",
        "inputs": {"image": "[[Sky]]", "layers": [{"image": "[[Body]]"}, {"image": "art/frame.png"}]},
    },
    "categories": [
        {
            "name": "Sky",
            "label": "Backdrop",
            "options": [
                {"name": "Dusk", "weight": 3, "value": {"image": "art/dusk.png"}},
                {
                    "name": "Void",
                    "count": 5,
                    "tags": ["dark"],
                    "value": {"image": "art/void.png", "opacity": 0.5},
                },
            ],
        },
        {
            "name": "Body",
            "none": 0.25,
            "options": [
                {
                    "name": "Robot",
                    "bind": {"style": "chrome [[Sky]]", "logo": {"file": "logo.svg"}},
                    "categories": [{"name": "Antenna", "options": options("Long", "Short")}],
                },
                {"name": "Ghost", "weight": 0.5, "tags": ["dark"]},
            ],
        },
        {"name": "Level", "range": {"from": 1, "to": 50, "pad": 3}, "displayType": "number"},
        {"name": "Grain", "seed": True},
        {"name": "Photo", "unique": False, "metadata": False, "images": {"folder": "photos"}},
    ],
    "rules": [
        {"id": "a", "excludes": [{"Sky": ["Void"]}, {"Body": "Ghost"}, {"Level": [1, 2]}]},
        {
            "id": "b",
            "requires": {"when": {"Sky": "Dusk"}, "then": {"Body": ["Robot", None]}},
            "in": ["Night"],
        },
        {"id": "c", "together": [{"tag": "dark"}, {"Antenna": "Long"}]},
    ],
    "oneOfOnes": [
        {"name": "First", "traits": {"Sky": "Gold"}, "inputs": {"layers": [{"image": "one.png"}]}},
    ],
    "subCollections": [
        {"name": "Night", "size": 10, "only": {"Sky": ["Dusk"]}, "none": {"Body": 0}},
        {"name": "Day", "size": 13, "without": {"Body": ["Ghost"]}, "weights": {"Sky": {"Dusk": 2}}},
    ],
    "metadata": {"name": "Lantern #{{number}}", "description": "On [[Sky]].", "prompt": False},
    "cook": {"attempts": 2, "failureBudget": 0.2, "timeoutS": 30},
}


def full(**changes):
    return {**copy.deepcopy(FULL), **changes}


def put(path, value):
    """The full document with the value at ``path`` (a list of keys) replaced; ``...`` removes it."""
    doc = full()
    place = doc
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return doc


def test_the_full_document_is_valid_and_comes_back_equal():
    assert check_collection(FULL) == []
    collection = parse_collection(FULL)
    assert collection.slug == "lantern-keepers"
    again = parse_collection(collection.document())
    assert again == collection
    assert again.document() == collection.document()
    assert again.version_hash == collection.version_hash


@given(doc=small_documents())
def test_documents_come_back_equal(doc):
    assume(not check_collection(doc))
    collection = parse_collection(doc)
    assert parse_collection(collection.document()) == collection


PROBLEMS = [
    (["cauldron"], 2, "cauldron", "bad_version"),
    (["cauldron"], ..., "cauldron", "bad_version"),
    (["name"], ..., "name", "missing"),
    (["name"], "x" * 81, "name", "too_long"),
    (["slug"], "No Slug", "slug", "malformed"),
    (["supply"], 0, "supply", "out_of_range"),
    (["supply"], 1_000_001, "supply", "out_of_range"),
    (["supply"], 2.5, "supply", "wrong_type"),
    (["supply"], True, "supply", "wrong_type"),
    (["supply"], ..., "supply", "missing"),
    (["suply"], 3, "suply", "unknown_key"),
    (["generator"], ..., "generator", "missing"),
    (["generator", "spell"], "x", "generator", "bad_kind"),
    (["generator", "version"], 1.0, "generator.version", "wrong_type"),
    (["generator", "inputs"], [1], "generator.inputs", "wrong_type"),
    (["generator", "inputs", "x"], float("nan"), "document", "wrong_type"),
    (["generator", "inputs", "text"], "[[Skye]]", "generator.inputs.text", "unknown_placeholder"),
    (["generator", "inputs", "text"], "[[Sky", "generator.inputs.text", "unclosed_placeholder"),
    (["generator", "inputs", "text"], "[[$slots]]", "generator.inputs.text", "unknown_placeholder"),
    (["categories"], [], "categories", "missing"),
    (["categories"], {"a": 1}, "categories", "wrong_type"),
    (["categories", 1, "name"], "Sky", "categories[1].name", "duplicate"),
    (["categories", 1, "name"], "tag", "categories[1].name", "reserved_name"),
    (["categories", 1, "name"], "a/b", "categories[1].name", "bad_name"),
    (["categories", 1, "name"], "a\x00b", "categories[1].name", "bad_name"),
    (["categories", 1, "name"], "[[x]]", "categories[1].name", "bad_name"),
    (["categories", 1, "label"], "Backdrop", "categories[1].label", "duplicate_label"),
    (["categories", 0, "seed"], True, "categories[0]", "bad_kind"),
    (["categories", 0, "options"], [], "categories[0].options", "empty"),
    (["categories", 0, "options", 0, "weight"], -1, "categories[0].options[0].weight", "out_of_range"),
    (["categories", 0, "options", 0, "weight"], "3", "categories[0].options[0].weight", "wrong_type"),
    (["categories", 0, "options", 0, "weight"], 1e13, "categories[0].options[0].weight", "out_of_range"),
    (["categories", 0, "options", 0, "count"], 1, "categories[0].options[0].count", "ambiguous"),
    (["categories", 0, "options", 1, "count"], 25, "categories[0].options[1].count", "count_above_supply"),
    (
        ["categories", 0, "options", 0],
        {"name": "Dusk", "count": 20},
        "categories[0].options",
        "count_above_supply",
    ),
    (
        ["categories", 1],
        {"name": "Body", "noneCount": 25, "options": options("A")},
        "categories[1].noneCount",
        "count_above_supply",
    ),
    (["categories", 0, "options", 1, "count"], -1, "categories[0].options[1].count", "out_of_range"),
    (["categories", 0, "options", 1, "name"], "Dusk", "categories[0].options[1].name", "duplicate"),
    (["categories", 0, "options", 1, "name"], 7, "categories[0].options[1].name", "wrong_type"),
    (["categories", 0, "options", 1, "name"], "..\\x", "categories[0].options[1].name", "bad_name"),
    (["categories", 0, "options", 1, "name"], "gnp\u202e.png", "categories[0].options[1].name", "bad_name"),
    (["categories", 0, "options", 1, "tags"], [1], "categories[0].options[1].tags[0]", "bad_name"),
    (["categories", 0, "options", 0, "bind"], {"a b": 1}, "categories[0].options[0].bind", "bad_name"),
    (["categories", 1, "none"], 1.5, "categories[1].none", "out_of_range"),
    (["categories", 1, "noneCount"], 3, "categories[1].noneCount", "ambiguous"),
    (["categories", 1, "options", 0, "categories", 0, "name"], "Sky", None, "duplicate"),
    (["categories", 2, "range", "to"], 0, "categories[2].range.to", "out_of_range"),
    (["categories", 2, "range", "to"], 10_000_000, "categories[2].range", "too_many"),
    (["categories", 2, "range", "step"], 0, "categories[2].range.step", "out_of_range"),
    (["categories", 2, "range", "from"], ..., "categories[2].range", "missing"),
    (["categories", 2, "displayType"], "stars", "categories[2].displayType", "not_a_choice"),
    (["categories", 4, "images", "times"], 2, "categories[4].images.times", "ambiguous"),
    (["categories", 4, "images", "items"], [{"name": "a"}], "categories[4].images", "bad_kind"),
    (["rules", 0, "id"], "b", "rules[1].id", "duplicate"),
    (["rules", 0, "excludes", 0], {"Skye": "Void"}, "rules[0].excludes[0].Skye", "unknown_category"),
    (["rules", 0, "excludes", 0], {"Sky": "Voyd"}, "rules[0].excludes[0].Sky", "unknown_option"),
    (["rules", 0, "excludes", 0], {"Level": 51}, "rules[0].excludes[0].Level", "unknown_option"),
    (["rules", 0, "excludes", 0], {"Grain": 1}, "rules[0].excludes[0].Grain", "not_in_rules"),
    (["rules", 0, "excludes", 0], {"tag": "drak"}, "rules[0].excludes[0].tag", "unknown_tag"),
    (["rules", 0, "excludes", 0], "Sky", "rules[0].excludes[0]", "wrong_type"),
    (["rules", 0, "excludes", 0], {"Body": "Robot"}, "rules[0].excludes", "rule_pointless"),
    (["rules", 0, "excludes"], [{"Sky": "Void"}], "rules[0].excludes", "too_few"),
    (["rules", 0, "requires"], {"when": {"Sky": "Void"}, "then": {"Body": "Ghost"}}, "rules[0]", "bad_kind"),
    (["rules", 1, "in"], ["Nigth"], "rules[1].in", "unknown_sub_collection"),
    (["rules", 1, "requires", "then"], {}, "rules[1].requires.then", "wrong_type"),
    (["oneOfOnes", 0, "traits"], {"Skye": "Gold"}, "oneOfOnes[0].traits.Skye", "unknown_category"),
    (["oneOfOnes", 0, "traits"], {"Grain": 3}, "oneOfOnes[0].traits.Grain", "wrong_type"),
    (["oneOfOnes", 0, "traits"], {"Sky": True}, "oneOfOnes[0].traits.Sky", "wrong_type"),
    (["subCollections", 0, "size"], 11, "subCollections", "sizes_do_not_add_up"),
    (["subCollections", 0, "only"], {"Sky": ["Dsuk"]}, "subCollections[0].only.Sky", "unknown_option"),
    (["subCollections", 0, "none"], {"Bod": 0}, "subCollections[0].none.Bod", "unknown_category"),
    (
        ["subCollections", 1, "weights"],
        {"Sky": {"Void": 2}},
        "subCollections[1].weights.Sky.Void",
        "ambiguous",
    ),
    (["metadata", "name"], "{{numbre}}", "metadata.name", "unknown_placeholder"),
    (["metadata", "symbol"], "x" * 11, "metadata.symbol", "too_long"),
    (["cook", "failureBudget"], 2, "cook.failureBudget", "out_of_range"),
]


@pytest.mark.parametrize(("path", "value", "where", "code"), PROBLEMS)
def test_every_problem_names_its_place_and_its_kind(path, value, where, code):
    problems = check_collection(put(path, value))
    assert any(p.code == code and (where is None or p.path == where) for p in problems), problems
    assert all(p.path and p.message for p in problems)


def test_all_problems_are_listed_and_the_first_is_in_the_message():
    doc = put(["categories", 0, "options", 0, "weight"], -3)
    doc["supply"] = 0
    with pytest.raises(InvalidMany) as refusal:
        parse_collection(doc, source="keepers.yaml")
    assert len(refusal.value.problems) == 2
    assert str(refusal.value).startswith("keepers.yaml: supply: must be")


def test_the_nearest_name_is_suggested():
    problems = check_collection(put(["rules", 0, "excludes", 0], {"Skye": "Void"}))
    assert problems[0].message == 'there is no category "Skye" (did you mean "Sky"?)'
    problems = check_collection(put(["genrator"], {}))
    assert problems[0].message == 'no such key (did you mean "generator"?)'


@pytest.mark.parametrize("doc", [None, [], "text", 3, {}, {1: 2}, {"cauldron": [[[]]]}])
def test_what_is_no_document_is_refused_not_crashed_on(doc):
    assert check_collection(doc)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(path=st.sampled_from([path for path, *_ in PROBLEMS]), junk=JUNK)
def test_junk_anywhere_is_a_list_of_problems_or_fine_never_a_crash(path, junk):
    doc = put(path, junk)
    problems = check_collection(doc)
    list(media_paths(doc))
    if not problems:
        assert parse_collection(parse_collection(doc).document()).document()


def test_labels_may_repeat_below_different_options_of_one_category():
    def body(name):
        return {
            "name": name,
            "categories": [{"name": f"{name} hat", "label": "Hat", "options": options("A")}],
        }

    assert check_collection(document([{"name": "Body", "options": [body("Robot"), body("Bear")]}])) == []
    apart = [{"name": n, "label": "Hat", "options": options("A")} for n in ("One", "Two")]
    assert [p.code for p in check_collection(document(apart))] == ["duplicate_label"]


def test_media_are_found_wherever_they_are_and_placeholders_are_none():
    assert dict(media_paths(FULL)) == {
        "generator.inputs.layers[1].image": "art/frame.png",
        "categories[0].options[0].value.image": "art/dusk.png",
        "categories[0].options[1].value.image": "art/void.png",
        "categories[1].options[0].bind.logo.file": "logo.svg",
        "categories[4].images.folder": "photos",
        "oneOfOnes[0].inputs.layers[0].image": "one.png",
    }


def test_the_version_counts_media_by_content_and_texts_not_at_all():
    def loaded(**details):
        ref = {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 5, **details}
        return parse_collection(put(["categories", 0, "options", 0, "value"], ref)).version_hash

    assert loaded(name="a.png") == loaded(name="b.png", width=3)
    assert loaded() != parse_collection(FULL).version_hash
    same = parse_collection(full(description="Other.", supply=24, seed="x", cook={"attempts": 9}))
    assert same.version_hash == parse_collection(FULL).version_hash
    assert parse_collection(put(["categories", 1, "none"], 0.3)).version_hash != same.version_hash


def test_ranges_know_their_numbers():
    tenths = Range(low=0.1, high=0.95, step=0.1, pad=2)
    assert tenths.size == 9
    assert [tenths.value(i) for i in (0, 2, 8)] == [0.1, 0.3, 0.9]
    assert tenths.text(2) == "00.3"
    assert tenths.index(0.3) == tenths.index("00.3") == 2
    assert tenths.index(0.35) is tenths.index("x") is tenths.index(1.0) is tenths.index("nan") is None
    assert Range(low=-5, high=5, pad=3).text(0) == "-005"

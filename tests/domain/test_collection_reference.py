"""The page about the collection document is true: its example is valid, plans, and shows every key."""

import re
from pathlib import Path

from cauldron.domain.collection import check_collection, media_paths, parse_collection
from cauldron.domain.planning import make_plan
from cauldron.domain.strict_yaml import read_document
from tests.domain import plan_oracle as oracle

PAGE = Path(__file__).parents[2] / "docs/reference/collection.md"


def example():
    return read_document(re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_the_example_is_valid_and_names_its_files():
    doc = example()
    assert check_collection(doc) == []
    assert "photos" in dict(media_paths(doc)).values()


def test_the_example_plans_and_keeps_what_it_says():
    doc = example()
    for category in doc["categories"]:
        if "images" in category:
            category["images"] = {"items": [{"name": "a"}, {"name": "b"}], "draw": "order"}
    plan = make_plan(parse_collection(doc))
    photos = {"name": "Photo", "options": [{"name": "a"}, {"name": "b"}]}
    kept = {**doc, "categories": [*(c for c in doc["categories"] if "options" in c), photos]}
    kept["subCollections"] = [{"size": 44, **sub} for sub in doc["subCollections"]]
    assert oracle.faults(kept, plan) == []
    assert [s.names["Photo"] for s in plan.selections() if not s.one_of_one][:4] == ["a", "b", "a", "b"]

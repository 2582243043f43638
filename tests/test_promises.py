"""Tables that name the test of each promise: the test is there, and no promise is without one."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/explanation/ledger.md", "docs/explanation/casts.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page):
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []


def test_every_property_of_the_books_has_its_row_and_its_test():
    page = (ROOT / PAGES[0]).read_text(encoding="utf-8")
    rows = re.findall(r"^\| L(\d+) \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 23))
    assert all("machine" in tests or NAMED.search(tests) for _, tests in rows)

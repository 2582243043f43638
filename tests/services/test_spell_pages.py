"""The pages about spells: their examples are valid, their table of problems is complete."""

import ast
import re
from pathlib import Path

import pytest

from cauldron.adapters.local.registry import TOOLS as BUILT_IN
from cauldron.domain.registry import ToolSet, read_tools
from cauldron.domain.spell_graph import check_document
from cauldron.domain.strict_yaml import read_document

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/reference/spell.md", ROOT / "docs/howto/write-a-spell.md"]
MODULES = [
    ROOT / "cauldron/domain" / f"{name}.py"
    for name in ("spell_document", "spell_graph", "spell_types", "field_reader", "tool_document", "tool")
]
EXAMPLES = [
    code
    for page in PAGES
    for code in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
]
SPELLS = [code for code in EXAMPLES if code.startswith("cauldronSpell:")]


@pytest.mark.parametrize("code", SPELLS, ids=map(str, range(len(SPELLS))))
def test_every_example_is_a_valid_spell_of_the_built_in_tools(code):
    check_document(read_document(code), ToolSet(tool for tool, _ in BUILT_IN.values()))


def test_the_other_examples_are_tool_declarations():
    others = [code for code in EXAMPLES if code not in SPELLS]
    assert len(SPELLS) >= 4
    assert [read_tools(code, source="page")[0].id for code in others] == ["sign.paint"]


def codes_in(source: str) -> set[str]:
    """The codes of all problems that a module makes: the second argument, or ``code``."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [c for c in calls if ast.unparse(c.func).rpartition(".")[2].lstrip("_").lower() == "problem"]
    said = [c.args[1] for c in made if len(c.args) > 1] + [
        k.value for c in made for k in c.keywords if k.arg == "code"
    ]
    return {node.value for node in said if isinstance(node, ast.Constant)}


def test_every_problem_code_is_on_the_page():
    page = PAGES[0].read_text(encoding="utf-8").partition("## Problems")[2]
    codes = set().union(*(codes_in(module.read_text(encoding="utf-8")) for module in MODULES))
    assert {"cycle", "two_outputs", "may_be_missing", "untagged_object", "duplicate"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in page) == []

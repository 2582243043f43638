"""Rules between traits: what they are, how they are read, and checking that what they name exists.

A rule is order-free. ``excludes``: never all of its terms at once. ``requires``: where
all of ``when`` hold, all of ``then`` must. ``together``: all of its terms or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cauldron.domain.errors import Problem
from cauldron.domain.field_reader import MISSING
from cauldron.domain.json_values import shown
from cauldron.domain.trait_reading import Reader, report_doubles, suggestion
from cauldron.domain.traits import Category, Placed, TraitValue

Choice: TypeAlias = TraitValue | None  # an option's name, a number of a range, or None: has none
MAX_RULES, MAX_TERMS = 5_000, 30
KINDS = ("excludes", "requires", "together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Holds when ``category`` has one of ``options``, or when any option carries ``tag``."""

    category: str = ""
    options: tuple[Choice, ...] = ()
    tag: str = ""

    def document(self) -> dict[str, Any]:
        """The term as the document writes it."""
        return {"tag": self.tag} if self.tag else {self.category: list(self.options)}


Terms: TypeAlias = tuple[Term, ...]  # all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``terms`` has one entry (``when``) for ``requires``, two or more otherwise."""

    id: str
    kind: str
    terms: tuple[Terms, ...]
    then: Terms = ()
    within: tuple[str, ...] = ()  # sub-collections it holds in; empty: everywhere

    def document(self) -> dict[str, Any]:
        """The rule as the document writes it."""
        body: Any = [_join(terms) for terms in self.terms]
        if self.kind == "requires":
            body = {"when": _join(self.terms[0]), "then": _join(self.then)}
        return {"id": self.id, self.kind: body, **({"in": list(self.within)} if self.within else {})}


def _join(terms: Terms) -> dict[str, Any]:
    return {key: value for term in terms for key, value in term.document().items()}


@dataclass(slots=True, kw_only=True)
class Names:
    """What rules, sub-collections and one-of-ones may name."""

    categories: Mapping[str, Category]
    sub_collections: Sequence[str] = ()
    tags: frozenset[str] = frozenset()
    _options: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, placed: Sequence[Placed], *, sub_collections: Sequence[str] = ()) -> "Names":
        """The names of a trait tree."""
        categories = {p.category.name: p.category for p in placed}
        tags = frozenset(tag for p in placed for option in p.category.options for tag in option.tags)
        return cls(categories=categories, sub_collections=sub_collections, tags=tags)

    def option_index(self, category: str, choice: TraitValue) -> int | None:
        """The 0-based index of an option of a known category, or None."""
        numbers = self.categories[category].range
        if numbers is not None:
            return numbers.index(choice)
        if category not in self._options:
            choices = self.categories[category].choices
            self._options[category] = {option.name: i for i, option in enumerate(choices)}
        return self._options[category].get(choice) if isinstance(choice, str) else None

    def category_problem(self, name: str) -> str | None:
        """A sentence when there is no such category."""
        if name in self.categories:
            return None
        return f'there is no category "{name}"{suggestion(name, self.categories)}'

    def option_problem(self, category: str, choice: TraitValue) -> str | None:
        """A sentence when the (known) category has no such option."""
        found = self.categories[category]
        if found.images is not None and not found.images.items:
            return None  # its folder has not been read yet
        if self.option_index(category, choice) is not None:
            return None
        if found.range is not None:
            return f"{category} goes from {found.range.low} to {found.range.high}, without {shown(choice)}"
        if not isinstance(choice, str):
            return f"options of {category} are named by text: put {shown(choice)} in quotes"
        return f'{category} has no option "{choice}"{suggestion(choice, [o.name for o in found.choices])}'


def read_rules(fields: Reader, problems: list[Problem]) -> tuple[Rule, ...]:
    """The rules of the document; names are checked later by :func:`check_rule`."""
    entries = list(fields.items("rules", most=MAX_RULES))
    rules = [_rule(raw, path, problems) for path, raw in entries]
    report_doubles([rule.id for rule in rules], [path for path, _ in entries], problems, field="id")
    return tuple(rules)


def _rule(raw: Any, path: str, problems: list[Problem]) -> Rule:
    fields = Reader(raw, path, problems)
    name = fields.name("id")
    kinds = [kind for kind in KINDS if fields.given(kind)]
    if len(kinds) != 1:
        fields.problem("", "bad_kind", "must have exactly one of excludes, requires and together")
    terms: list[Terms] = []
    then: Terms = ()
    for kind in ("excludes", "together"):
        terms += [_terms(item, where, problems) for where, item in fields.items(kind, most=MAX_TERMS)]
    requires = fields.take("requires")
    if requires is not MISSING:
        part = Reader(requires, f"{path}.requires", problems)
        terms = [_terms(part.take("when"), part.at("when"), problems)]
        then = _terms(part.take("then"), part.at("then"), problems)
        part.finish()
    within = _within(fields)
    fields.finish()
    kind = kinds[0] if len(kinds) == 1 else "excludes"
    if kind != "requires" and sum(map(len, terms)) < 2:
        fields.problem(kind, "too_few", "needs at least two terms")
    if kind == "together" and len(terms) < 2:
        fields.problem(kind, "too_few", "needs a list of at least two terms")
    return Rule(id=name, kind=kind, terms=tuple(terms), then=then, within=within)


def _within(fields: Reader) -> tuple[str, ...]:
    names = []
    for path, name in fields.items("in", most=200):
        if isinstance(name, str):
            names.append(name)
        else:
            fields.problems.append(Problem(path=path, code="wrong_type", message="must be text"))
    if fields.given("in") and not names:
        fields.problem("in", "empty", "must name at least one sub-collection")
    return tuple(dict.fromkeys(names))


def _terms(raw: Any, path: str, problems: list[Problem]) -> Terms:
    if not isinstance(raw, Mapping) or not raw:
        message = "must be like {Category: option}, {Category: [option, option]} or {tag: name}"
        problems.append(Problem(path=path, code="wrong_type", message=message))
        return ()
    return tuple(_term(str(key), value, f"{path}.{key}", problems) for key, value in raw.items())


def _term(key: str, value: Any, path: str, problems: list[Problem]) -> Term:
    if key == "tag":
        if not isinstance(value, str) or not value:
            problems.append(Problem(path=path, code="wrong_type", message="must be the name of a tag"))
        return Term(tag=str(value))
    choices = read_choices(value, path, problems)
    return Term(category=key, options=choices)


def read_choices(value: Any, path: str, problems: list[Problem]) -> tuple[Choice, ...]:
    """One option or a list of them; null stands for "has none"."""
    items = value if isinstance(value, list) else [value]
    if not items:
        problems.append(Problem(path=path, code="empty", message="must name at least one option"))
    choices: list[Choice] = []
    for item in items:
        if item is None or (isinstance(item, str | int | float) and not isinstance(item, bool)):
            choices.append(item)
        else:
            message = f"must be the name of an option (put it in quotes), not {shown(item)}"
            problems.append(Problem(path=path, code="wrong_type", message=message))
    return tuple(dict.fromkeys(choices))


def check_rule(rule: Rule, names: Names, *, path: str) -> list[Problem]:
    """Everything the rule names that does not exist, and rules that can never apply."""
    problems = []
    parts = [(f"{path}.{rule.kind}[{i}]", terms) for i, terms in enumerate(rule.terms)]
    if rule.kind == "requires":
        parts = [(f"{path}.requires.when", rule.terms[0]), (f"{path}.requires.then", rule.then)]
    for where, terms in parts:
        for term in terms:
            problems += check_term(term, names, path=where)
    for sub in rule.within:
        if sub not in names.sub_collections:
            hint = suggestion(sub, names.sub_collections)
            message = f'there is no sub-collection "{sub}"{hint}'
            problems.append(Problem(path=f"{path}.in", code="unknown_sub_collection", message=message))
    return problems or _pointless(rule, path)


def check_term(term: Term, names: Names, *, path: str) -> list[Problem]:
    """Unknown categories, options and tags of one term."""
    if term.tag:
        if term.tag in names.tags:
            return []
        message = f'no option has the tag "{term.tag}"{suggestion(term.tag, names.tags)}'
        return [Problem(path=f"{path}.tag", code="unknown_tag", message=message)]
    here = f"{path}.{term.category}"
    if (sentence := names.category_problem(term.category)) is not None:
        return [Problem(path=here, code="unknown_category", message=sentence)]
    category = names.categories[term.category]
    if category.seed or category.is_serial:
        why = "is a seed" if category.seed else "has values that are unique across the collection"
        message = f"{term.category} {why}; rules cannot name it"
        return [Problem(path=here, code="not_in_rules", message=message)]
    sentences = [names.option_problem(term.category, c) for c in term.options if c is not None]
    return [Problem(path=here, code="unknown_option", message=s) for s in sentences if s is not None]


def _pointless(rule: Rule, path: str) -> list[Problem]:
    """An exclusion of two options of one category always holds: surely a slip."""
    if rule.kind == "requires":
        return []
    seen: dict[str, Term] = {}
    for term in (term for terms in rule.terms for term in terms):
        key = f"tag {term.tag}" if term.tag else term.category
        if key in seen:
            message = f'names "{key}" twice; a piece has at most one option of a category'
            return [Problem(path=f"{path}.{rule.kind}", code="rule_pointless", message=message)]
        seen[key] = term
    return []

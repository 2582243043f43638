"""Saying why settings admit no plan: as sentences about rules and counts, none of which is idle."""

from collections.abc import Sequence

from cauldron.domain.conflicts import SUPPLY, Conflicts, Item, Test, first_conflict
from cauldron.domain.errors import Infeasible
from cauldron.domain.quotas import Demand, option_name
from cauldron.domain.rules import Rule, Term, Terms
from cauldron.domain.space import SUB, Space


def check_feasible(space: Space, demand: Demand, *, blocked: int = 0) -> None:
    """Refuse what the three conditions of :mod:`cauldron.domain.conflicts` prove impossible.

    Args:
        blocked: valid pieces that are not to be had (one-of-ones, rejected ones).

    Raises:
        Infeasible: ``reasons`` are settings that clash; without any one of them the
            condition that failed would hold.
    """
    conflicts = Conflicts(space=space, demand=demand, blocked=blocked)
    found = first_conflict(conflicts)
    if found is not None:
        test, items = found
        reasons = describe(conflicts, test, items)
        raise Infeasible(_headline(conflicts, test, items), reasons=reasons)


def check_exhaustively(space: Space, demand: Demand) -> None:
    """Refuse small settings that trying everything proves impossible.

    Raises:
        Infeasible: ``reasons`` are settings that clash; without any one of them a plan exists.
    """
    conflicts = Conflicts(space=space, demand=demand)
    found = first_conflict(conflicts, tests=[conflicts.whole()])
    if found is not None:
        raise Infeasible(_headline(conflicts, *found), reasons=describe(conflicts, *found))


def not_found(space: Space, demand: Demand) -> Infeasible:
    """The refusal when nothing is proved impossible, yet no plan was found."""
    rules = [rule.id for rule in space.collection.rules]
    counted = [space.columns[c].name for c in demand.exact if c != space.sub]
    reasons = [f"{_pieces(space, demand)} are wanted"]
    if counted:
        reasons.append(f"exact counts in {_listed(counted)}")
    if rules:
        reasons.append(f"{'rule' if len(rules) == 1 else 'rules'} {_listed(rules)}")
    if space.sub >= 0:
        reasons.append(f"the limits of {len(space.sub_sizes)} sub-collections")
    message = "No plan was found; the settings are not proved impossible, but they leave hardly any room."
    return Infeasible(message, reasons=reasons)


def describe(conflicts: Conflicts, test: Test, items: Sequence[Item]) -> list[str]:
    """One sentence per setting: counts first, then rules, then the supply."""
    space, demand = conflicts.space, conflicts.demand
    rules = {rule.id: rule for rule in space.collection.rules}
    alone = len(test.columns) == 1 and not test.everything
    counts = [
        _count_sentence(conflicts, column, option, alone=alone, items=items)
        for kind, column, option in items
        if kind == "count"
    ]
    origins = [conflicts.origins[number] for kind, number, _ in items if kind == "origin"]
    sentences = [
        rule_sentence(rules[origin]) if origin in rules else _limit_sentence(space, origin)
        for origin in origins
    ]
    if SUPPLY not in items:
        return [*counts, *sentences]
    wanted = f"{_pieces(space, demand)} are wanted"
    if not test.columns:
        room = max(0, conflicts.room(items))
        wanted += f", but there {'is' if room == 1 else 'are'} only {room:,} different valid "
        wanted += "combination" if room == 1 else "combinations"
    return [wanted, *counts, *sentences]


def _headline(conflicts: Conflicts, test: Test, items: Sequence[Item]) -> str:
    space, demand = conflicts.space, conflicts.demand
    if not test.columns:
        return f"There are not {demand.amount:,} different valid combinations."
    blamed = sorted({column for kind, column, _ in items if kind == "count"}) or test.columns
    names = ["the sub-collections" if c == space.sub else space.columns[c].name for c in blamed]
    together = " together" if len(names) > 1 else ""
    return f"The counts of {_listed(names)} cannot be met{together}."


def _count_sentence(
    conflicts: Conflicts, column: int, option: int, *, alone: bool, items: Sequence[Item]
) -> str:
    space, demand = conflicts.space, conflicts.demand
    count = int(demand.counts[column][option])
    found = space.columns[column]
    name = option_name(space, column, option)
    pieces = "1 piece" if count == 1 else f"{count:,} pieces"
    if found.name == SUB:
        sentence = f"{name} has {pieces}"
    elif option == found.absent:
        sentence = f"{found.name} does not apply to {pieces}"
    elif option == found.none:
        sentence = f"{pieces} must have no {found.name}"
    elif (column, option) in demand.given:
        sentence = f"{name} must appear {'once' if count == 1 else f'{count:,} times'}"
    else:
        sentence = f"{name} gets {pieces} by its weight"
    room = conflicts.room_of(column, option, items) if alone else count
    if room < count:
        verb = "combination carries" if room == 1 else "combinations carry"
        sentence += (
            f", but only {room:,} valid {verb} it" if room else ", but no valid combination carries it"
        )
    return sentence


def _pieces(space: Space, demand: Demand) -> str:
    ones = len(space.collection.one_of_ones)
    text = "1 piece" if demand.amount == 1 else f"{demand.amount:,} pieces"
    return text + (f" beside {ones} one-of-one{'s' if ones > 1 else ''}" if ones else "")


def _limit_sentence(space: Space, origin: str) -> str:
    name = origin.removeprefix("sub:")
    named = {space.columns[c].name for box in space.boxes if box.origin == origin for c in box.columns}
    limits = [column.name for column in space.columns if column.name in named - {SUB}]
    return f'sub-collection "{name}" leaves out options of {_listed(limits)}'


def rule_sentence(rule: Rule) -> str:
    """A rule in words: ``rule hats: Hat "Crown" or "Cap" never with Body "Ghost"``."""
    if rule.kind == "requires":
        text = f"{_all(rule.terms[0])} needs {_all(rule.then)}"
    elif rule.kind == "together":
        text = " and ".join(_all(terms) for terms in rule.terms) + " only all together"
    else:
        first, *others = (_all(terms) for terms in rule.terms)
        text = f"{first} never with {' and '.join(others)}" if others else f"never {first}"
    where = f", in {_listed(rule.within)}" if rule.within else ""
    return f"rule {rule.id}: {text}{where}"


def _all(terms: Terms) -> str:
    return " and ".join(_term(term) for term in terms)


def _term(term: Term) -> str:
    if term.tag:
        return f'anything tagged "{term.tag}"'
    options = ["none" if choice is None else f'"{choice}"' for choice in term.options]
    shown = options if len(options) <= 4 else [*options[:3], f"{len(options) - 3} more"]
    return f"{term.category} {' or '.join(shown)}"


def _listed(names: Sequence[str], *, most: int = 8) -> str:
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return ", ".join(shown)

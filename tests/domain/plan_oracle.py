"""What a plan must be, worked out the slow way from the document alone: no module of the planner is used.

Enumerates every piece category by category, applies rules as they read, and decides
whether exact counts can be met by dynamic programming over the remaining counts.
"""

from collections import Counter
from fractions import Fraction
from itertools import product

NONE = None


def flat(doc):
    """``[(category, parent name, host option, compared)]`` in layer order."""
    found = []

    def go(categories, parent, host, compared):
        for category in categories:
            here = compared and category.get("unique", True)
            found.append((category, parent, host, here))
            for option in category.get("options", []):
                go(option.get("categories", []), category["name"], option["name"], here)

    go(doc["categories"], None, None, True)
    return found


def weight(option):
    return option.get("weight", 1)


def none_share(category, sub):
    return (sub or {}).get("none", {}).get(category["name"], category.get("none", 0))


def as_list(value):
    return value if isinstance(value, list) else [value]


def allowed(category, sub):
    """The options (and None) that a piece of a sub-collection may have."""
    name, sub = category["name"], sub or {}
    options = []
    for option in category["options"]:
        changed = sub.get("weights", {}).get(name, {})
        alive = option["count"] > 0 if "count" in option else changed.get(option["name"], weight(option)) > 0
        if name in sub.get("only", {}):
            alive = alive and option["name"] in as_list(sub["only"][name])
        if name in sub.get("without", {}):
            alive = alive and option["name"] not in as_list(sub["without"][name])
        options += [option["name"]] * alive
    share = none_share(category, sub)
    weights = [
        sub.get("weights", {}).get(name, {}).get(o["name"], weight(o))
        for o in category["options"]
        if o["name"] in options
    ]
    if category.get("noneCount", 0) > 0 or share > 0 or (not weights and category.get("none", 0) > 0):
        options = (options if share < 1 else []) + [NONE]
    return options


def holds(term, piece, tags):
    [(key, value)] = term.items()
    if key == "tag":
        return any(value in tags.get((name, option), ()) for name, option in piece.items())
    return piece[key] in as_list(value)


def all_hold(terms, piece, tags):
    return all(holds({key: value}, piece, tags) for key, value in terms.items())


def tags_of(doc):
    return {(c["name"], o["name"]): o.get("tags", []) for c, *_ in flat(doc) for o in c.get("options", [])}


def keeps_rules(doc, piece, sub_name, tags=None):
    tags = tags if tags is not None else tags_of(doc)
    for rule in doc.get("rules", []):
        if "in" in rule and sub_name not in rule["in"]:
            continue
        if "excludes" in rule and all(all_hold(terms, piece, tags) for terms in rule["excludes"]):
            return False
        if "requires" in rule:
            parts = rule["requires"]
            if all_hold(parts["when"], piece, tags) and not all_hold(parts["then"], piece, tags):
                return False
        if "together" in rule and len({all_hold(terms, piece, tags) for terms in rule["together"]}) > 1:
            return False
    return True


def subs_of(doc):
    return doc.get("subCollections") or [None]


def pieces(doc):
    """Every valid ``(piece, name of its sub-collection)``."""
    tags = tags_of(doc)
    for sub in subs_of(doc):
        partial = [{}]
        for category, parent, host, _ in flat(doc):
            grown = []
            for piece in partial:
                here = parent is None or piece[parent] == host
                options = allowed(category, sub) if here else [NONE]
                grown += [{**piece, category["name"]: option} for option in options]
            partial = grown
        name = sub["name"] if sub else None
        yield from ((piece, name) for piece in partial if keeps_rules(doc, piece, name, tags))


def compared(doc, piece):
    """What of a piece is compared; nested categories also tell none from absent by their parent."""
    return tuple(piece[category["name"]] for category, _, _, here in flat(doc) if here)


def count(doc):
    return len({compared(doc, piece) for piece, _ in pieces(doc)})


def wanted_counts(doc, supply):
    """``{(category, option): pieces}`` that the document settles; None stands for "none"."""
    counts = {}
    for category, *_ in flat(doc):
        for option in category.get("options", []):
            if "count" in option:
                counts[category["name"], option["name"]] = option["count"]
        if "noneCount" in category:
            counts[category["name"], NONE] = category["noneCount"]
    for sub in doc.get("subCollections", []):
        counts["$sub", sub["name"]] = sub["size"]
    return counts


def feasible(doc, supply, counts=None, *, exact_supply=True):
    """Whether ``supply`` different valid pieces with the counts exist, by dynamic programming.

    ``none`` of a nested category means having none although its option was chosen.
    """
    counts = wanted_counts(doc, supply) if counts is None else counts
    keys = sorted(counts, key=str)
    hosts = {c["name"]: (parent, host) for c, parent, host, _ in flat(doc)}

    def carried(piece, sub):
        found = []
        for name, option in keys:
            if name == "$sub":
                found.append(int(sub == option))
                continue
            parent, host = hosts[name]
            applies = parent is None or piece[parent] == host
            found.append(int(applies and piece[name] == option))
        return tuple(found)

    variants = {}
    for piece, sub in pieces(doc):
        variants.setdefault(compared(doc, piece), set()).add(carried(piece, sub))
    limits = tuple(counts[key] for key in keys)
    states = {(0, (0,) * len(keys))}
    for choices in variants.values():
        grown = set(states)
        for taken, sums in states:
            for choice in choices:
                after = tuple(a + b for a, b in zip(sums, choice, strict=True))
                if all(a <= b for a, b in zip(after, limits, strict=True)):
                    grown.add((taken + exact_supply, after))
        states = {state for state in grown if state[0] <= supply}
    return (supply if exact_supply else 0, limits) in states


def faults(doc, plan):
    """Everything wrong with a plan, as sentences; reads selections only."""
    tags, ones = tags_of(doc), {one["name"] for one in doc.get("oneOfOnes", [])}
    subs = {sub["name"]: sub for sub in doc.get("subCollections", [])}
    seen, wrong, tally = Counter(), [], Counter()
    for selection in plan.selections():
        piece = {c["name"]: selection.names[c["name"]] for c, *_ in flat(doc)}
        for name, option in piece.items():
            tally[name, option] += 1
        if selection.one_of_one in ones:
            ones.discard(selection.one_of_one)
            continue
        sub = subs.get(selection.sub_collection)
        tally["$sub", selection.sub_collection] += 1
        seen[compared(doc, piece)] += 1
        for category, parent, host, _ in flat(doc):
            options = allowed(category, sub) if parent is None or piece[parent] == host else [NONE]
            if piece[category["name"]] not in options:
                wrong.append(f"slot {selection.slot}: {category['name']} is {piece[category['name']]}")
        if not keeps_rules(doc, piece, selection.sub_collection, tags):
            wrong.append(f"slot {selection.slot} breaks a rule: {piece}")
    wrong += [f"{key} appears {times} times" for key, times in seen.items() if times > 1]
    wrong += [f"the one-of-one {name} is missing" for name in ones]
    nested = {c["name"] for c, parent, *_ in flat(doc) if parent}
    for (name, option), number in wanted_counts(doc, plan.supply).items():
        if not (option is NONE and name in nested) and tally[name, option] != number:
            wrong.append(f"{name} {option} appears {tally[name, option]} times instead of {number}")
    return wrong


def inclusion(chances, amount):
    """Probability of each item to be among ``amount`` drawn one after the other without replacement."""
    total = [Fraction(0)] * len(chances)

    def go(left, probability, depth):
        rest = sum(chances[i] for i in left)
        for i in left:
            here = probability * Fraction(chances[i]) / rest
            total[i] += here
            if depth > 1:
                go([j for j in left if j != i], here, depth - 1)

    go(list(range(len(chances))), Fraction(1), amount)
    return [float(value) for value in total]


def grid(sizes):
    return product(*(range(size) for size in sizes))

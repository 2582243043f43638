"""Collection documents for tests: plain grids, a full example, and random small ones."""

from hypothesis import strategies as st

SKEWED = (30, 20, 15, 10, 8, 6, 5, 3, 2, 1)


def document(categories, **more):
    """A document around a list of categories."""
    return {
        "cauldron": 1,
        "name": "Test",
        "supply": 4,
        "generator": {"tool": "layers.compose"},
        "categories": categories,
        **more,
    }


def options(*names, **settings):
    return [{"name": name, **settings} for name in names]


def numbered(count, *, name="N"):
    """A category that alone makes ``count`` different pieces."""
    return {"name": name, "options": options(*map(str, range(count)))}


def grid(sizes, *, supply, weights=SKEWED, **more):
    """``sizes[i]`` options o0, o1, … in categories C0, C1, …"""
    categories = [
        {
            "name": f"C{i}",
            "options": [{"name": f"o{j}", "weight": weights[j % len(weights)]} for j in range(size)],
        }
        for i, size in enumerate(sizes)
    ]
    return document(categories, supply=supply, **more)


def with_counts(doc):
    """The same grid with exact counts in the proportion of its weights."""
    supply = doc["supply"]
    for category in doc["categories"]:
        weights = [option.pop("weight") for option in category["options"]]
        counts = [supply * weight // sum(weights) for weight in weights]
        for index in range(supply - sum(counts)):
            counts[index % len(counts)] += 1
        for option, count in zip(category["options"], counts, strict=True):
            option["count"] = count
    return doc


def pair_rules(sizes, *, count, seed):
    """``count`` rules "this option never with that one", from a fixed little generator."""
    state, rules = seed, []
    while len(rules) < count:
        numbers = []
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            numbers.append(state >> 33)
        a, b = numbers[0] % len(sizes), numbers[1] % len(sizes)
        if a != b:
            terms = [{f"C{a}": f"o{numbers[2] % sizes[a]}"}, {f"C{b}": f"o{numbers[3] % sizes[b]}"}]
            rules.append({"id": f"r{len(rules)}", "excludes": terms})
    return rules


def palette(categories, colours):
    """Rules by which the first ``categories`` of a grid all have the option of the same number."""
    return [
        {"id": f"r{i}-{j}", "requires": {"when": {f"C{i}": f"o{j}"}, "then": {f"C{i + 1}": f"o{j}"}}}
        for i in range(categories - 1)
        for j in range(colours)
    ]


@st.composite
def _category(draw, name, depth, *, counts):
    number = draw(st.integers(2, 4) if depth == 0 else st.integers(1, 2))
    made = []
    for index in range(number):
        option = {"name": f"{name}{index}"}
        if draw(st.booleans()):
            option["weight"] = draw(st.sampled_from([0, 1, 2, 5]))
        if draw(st.integers(0, 3)) == 0:
            option["tags"] = draw(st.lists(st.sampled_from(["red", "blue"]), max_size=2, unique=True))
        if depth < 2 and draw(st.integers(0, 5)) == 0:
            option["categories"] = [draw(_category(f"{name}{index}n", depth + 1, counts=False))]
        made.append(option)
    made[0].pop("weight", None)
    category = {"name": name, "options": made}
    if draw(st.integers(0, 2)) == 0:
        category["none"] = draw(st.sampled_from([0.25, 0.5]))
    if draw(st.integers(0, 5)) == 0:
        category["unique"] = False
    if counts and depth == 0 and draw(st.booleans()):
        _count(draw, category, counts)
    return category


def _count(draw, category, supply):
    """Counts for every option of a category, adding up to the supply."""
    left = supply
    category.pop("none", None)
    for option in category["options"][:-1]:
        option.pop("weight", None)
        option["count"] = draw(st.integers(0, left))
        left -= option["count"]
    category["options"][-1].pop("weight", None)
    category["options"][-1]["count"] = left
    for option in category["options"]:
        option.pop("categories", None)


def _all_categories(categories):
    for category in categories:
        yield category
        for option in category["options"]:
            yield from _all_categories(option.get("categories", []))


@st.composite
def _term(draw, categories):
    category = draw(st.sampled_from(categories))
    names = [option["name"] for option in category["options"]]
    if draw(st.integers(0, 5)) == 0:
        names = [*names, None]
    return {category["name"]: draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))}


@st.composite
def _rule(draw, number, categories, tags):
    kind = draw(st.sampled_from(["excludes", "excludes", "requires", "together"]))
    width = draw(st.integers(2, 3)) if kind == "excludes" else 2
    chosen = draw(st.permutations(categories))[:width]
    terms = [draw(_term([category])) for category in chosen]
    if tags and kind == "excludes" and draw(st.integers(0, 3)) == 0:
        terms[0] = {"tag": draw(st.sampled_from(tags))}
    if kind == "requires":
        return {"id": f"r{number}", "requires": {"when": terms[0], "then": terms[1]}}
    return {"id": f"r{number}", kind: terms}


@st.composite
def small_documents(draw, *, counts=True, subs=True):
    """Random collections of a few dozen possible pieces, many of them crowded or infeasible."""
    supply = draw(st.integers(1, 9))
    top = [
        draw(_category(name, 0, counts=supply if counts else None))
        for name in "ABCD"[: draw(st.integers(1, 4))]
    ]
    everything = list(_all_categories(top))
    tags = sorted({tag for c in everything for option in c["options"] for tag in option.get("tags", [])})
    rules = []
    if len(everything) > 1:
        rules = [draw(_rule(n, everything, tags)) for n in range(draw(st.integers(0, 4)))]
    doc = document(top, supply=supply, rules=rules)
    if subs and supply > 1 and draw(st.integers(0, 2)) == 0:
        size = draw(st.integers(1, supply - 1))
        doc["subCollections"] = [
            {"name": "Night", "size": size, **draw(_limits(top))},
            {"name": "Day", "size": supply - size, **draw(_limits(top))},
        ]
        if rules and draw(st.booleans()):
            rules[0]["in"] = ["Night"]
    return doc


@st.composite
def _limits(draw, categories):
    limits = {}
    category = draw(st.sampled_from(categories))
    names = [option["name"] for option in category["options"]]
    if draw(st.booleans()):
        limits["only"] = {category["name"]: draw(st.lists(st.sampled_from(names), min_size=1, unique=True))}
    free = [option["name"] for option in category["options"] if "count" not in option]
    if free and draw(st.integers(0, 2)) == 0:
        limits["weights"] = {category["name"]: {draw(st.sampled_from(free)): draw(st.sampled_from([0, 3]))}}
    return limits

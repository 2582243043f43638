"""Problems, counts, plans and forecasts as text for people: 80 columns, colour only where it is wanted."""

import io
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cauldron.domain.counting import Count
from cauldron.domain.errors import Problem
from cauldron.domain.forecast import CategoryForecast, Forecast, OptionForecast
from cauldron.domain.plan import Plan

MAX_WIDTH = 100
MAX_OPTIONS = 60  # rows of one category
BAR = 20  # characters
BLOCKS = " ▁▂▃▄▅▆▇█"


def _printed(*parts: Table | Text | str) -> str:
    """``parts`` as text: coloured only on a terminal, and never when NO_COLOR is set."""
    buffer = io.StringIO()
    width = min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    console = Console(
        file=buffer, width=width, force_terminal=sys.stdout.isatty(), highlight=False, soft_wrap=False
    )
    for part in parts:
        console.print(part)
    return buffer.getvalue().rstrip("\n")


def problems(file: Path, found: list[Problem]) -> str:
    """One line per problem, or that all is well."""
    if not found:
        return _printed(Text(f"{file}: valid"))
    lines = [Text(f"{file}: {len(found)} problem{'s' if len(found) > 1 else ''}", style="red")]
    lines += [Text.assemble("  ", (problem.path, "bold"), f": {problem.message}") for problem in found]
    return _printed(*lines)


def count(found: Count, *, supply: int) -> str:
    """How many different pieces there are, beside the supply."""
    number = f"{found.combinations:,}" if found.combinations < 10**18 else f"{_short(found.combinations)}"
    exactly = "exactly" if found.exact else "about"
    kind = "counted" if found.exact else "an estimate from random pieces"
    return _printed(f"{exactly} {number} different pieces ({kind}); the supply is {supply:,}")


def _short(number: int) -> str:
    """``1.234e25``, for integers too large for a float as well."""
    digits = str(number)
    return f"{digits[0]}.{digits[1:4]}e{len(digits) - 1}"


def plan(made: Plan, expected: Forecast, *, seconds: float, out: Path | None) -> str:
    """A plan in a few lines, and its forecast."""
    head = Text.assemble((f"{made.supply:,} pieces planned", "bold"), f" in {_duration(seconds)}")
    facts = [f"plan {made.plan_hash[:16]}…, {_seed(made.seed)}"]
    if made.ones:
        facts.append(f"{len(made.ones)} one-of-one{'s' if len(made.ones) > 1 else ''}")
    if out is not None:
        facts.append(f"written to {out}")
    return _printed(head, Text("; ".join(facts)), "") + "\n" + forecast(expected)


def _seed(seed: str) -> str:
    return f"seed {seed!r}" if seed else "without a seed of its own"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def forecast(expected: Forecast) -> str:
    """A table of options, and the spread of rarity."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("option", ratio=1, overflow="fold")
    for title in ("wanted", "gets", "share"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    for category in expected.categories:
        _add_category(table, category, pieces=expected.pieces)
    parts: list[Table | Text | str] = [table]
    if expected.sub_collections:
        sizes = ", ".join(f"{name} {size:,}" for name, size in expected.sub_collections)
        parts += ["", Text(f"sub-collections: {sizes}")]
    if expected.rarity is not None:
        rarity = expected.rarity
        text = (
            f"rarity (OpenRarity): {rarity.least:.3f} to {rarity.greatest:.3f}, median {rarity.median:.3f}  "
        )
        parts += ["", Text(text + _sparkline(rarity.histogram))]
    return _printed(*parts)


def _add_category(table: Table, category: CategoryForecast, *, pieces: int) -> None:
    table.add_row(f"[bold]{escape(category.category)}[/bold]")
    if category.numbers is not None:
        table.add_row("  different numbers", "", f"{category.numbers:,}")
    for option in category.options[:MAX_OPTIONS]:
        _add_option(table, option, pieces=pieces)
    left = len(category.options) - MAX_OPTIONS
    if left > 0:
        table.add_row(f"  and {left} more options")


def _add_option(table: Table, option: OptionForecast, *, pieces: int) -> None:
    share = option.count / pieces
    wanted = f"{option.wanted:,.0f}" if option.exact else f"~{option.wanted:,.1f}"
    name = escape(option.option) if option.option is not None else "[dim]none[/dim]"
    bar = "█" * round(share * BAR) or ("▏" if option.count else "")
    table.add_row(f"  {name}", wanted, f"{option.count:,}", f"{share:.1%}", bar)


def _sparkline(histogram: tuple[int, ...]) -> str:
    """A bar of blocks, tall where many pieces are; any piece at all shows."""
    most = max(histogram, default=0) or 1
    return "".join(BLOCKS[max(1, round(n / most * 8)) if n else 0] for n in histogram)

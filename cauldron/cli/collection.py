"""``cauldron collection``: check a collection document, count, plan and forecast it, without a store."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cauldron.adapters.documents import Digests, read_collection_file
from cauldron.adapters.media_files import load
from cauldron.cli import collection_tables as tables
from cauldron.cli.output import MALFORMED, REFUSED, command, emit, error_lines, talk
from cauldron.domain.collection import Collection, check_collection, media_paths, parse_collection
from cauldron.domain.counting import count_combinations
from cauldron.domain.errors import Infeasible, Invalid, InvalidMany, NotFound, Problem
from cauldron.domain.forecast import Forecast, forecast
from cauldron.domain.piece_checks import check_pieces
from cauldron.domain.plan import Plan
from cauldron.domain.plan_document import plan_lines
from cauldron.domain.planning import distinct_pieces, make_plan
from cauldron.domain.snapshot import generator_snapshot
from cauldron.domain.spell_graph import Tools

R = TypeVar("R")
group = typer.Typer(no_args_is_help=True, help="Check, count, plan and forecast a collection document.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A collection document, YAML or JSON.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Supply = Annotated[int | None, typer.Option(help="Pieces; default: what the document says.")]
Seed = Annotated[str | None, typer.Option(help="Any text; default: what the document says.")]


def register(app: typer.Typer) -> None:
    """Add the ``collection`` group to the command."""
    app.add_typer(group, name="collection")


@group.command("validate")
@command
def validate(file: File, as_json: AsJson = False) -> None:
    """Say everything that is wrong with a document and the files it names."""
    problems = _problems(file)
    shown = [{"path": p.path, "code": p.code, "message": p.message} for p in problems]
    emit({"ok": not problems, "problems": shown}, as_json=as_json, text=tables.problems(file, problems))
    if problems:
        raise typer.Exit(MALFORMED)


def _problems(file: Path) -> list[Problem]:
    try:
        document = read_collection_file(file)
    except Invalid as error:
        return [Problem(path="document", code=error.code, message=error.message)]
    problems = check_collection(document, source=str(file))
    try:
        loaded = asyncio.run(load(document, base=file.absolute().parent, blobs=Digests()))
    except InvalidMany as error:
        return problems + [p for p in error.problems if p not in problems]
    return problems or _piece_problems(parse_collection(loaded))


def _piece_problems(collection: Collection) -> list[Problem]:
    """What the generator would refuse of what the document says.

    An input that is absent may still come with the start of a cook, and a stored spell
    is known to the store alone.
    """
    # Loaded when asked for: the tools are most of a command's start.
    from cauldron.cli.tool import with_tools  # noqa: PLC0415

    generator = collection.generator
    if generator.kind == "spell" and not isinstance(generator.ref, Mapping):
        return []

    def check(known: Tools) -> None:
        check_pieces(collection, make_plan(collection), generator_snapshot(generator, known))

    try:
        with_tools(check)
    except InvalidMany as error:
        return [p for p in error.problems if not (p.code == "missing" and p.path.count(".") == 2)]
    except NotFound as error:
        return [Problem(path="generator", code=error.code, message=error.message)]
    except Infeasible:  # no fault of the document: ``plan`` says why
        return []
    return []


@group.command("count")
@command
def count(file: File, as_json: AsJson = False) -> None:
    """Count the different pieces that options and rules admit."""
    collection = _collection(file)
    found = count_combinations(collection)
    result = {"combinations": found.combinations, "exact": found.exact}
    emit(result, as_json=as_json, text=tables.count(found, supply=collection.supply))


@group.command("plan")
@command
def plan(
    file: File,
    supply: Supply = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Write the selections to this file, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Work out the trait selection of every piece."""
    collection = _collection(file)
    start = time.perf_counter()
    made = _planned(lambda: make_plan(collection, supply=supply, seed=seed), as_json=as_json)
    seconds = time.perf_counter() - start
    if out is not None:
        _write(out, made)
    expected = forecast(made)
    result = {
        "pieces": made.supply,
        "unique": distinct_pieces(made),
        "planHash": made.plan_hash,
        "seconds": round(seconds, 4),
        "forecast": _forecast_body(expected),
    }
    emit(result, as_json=as_json, text=tables.plan(made, expected, seconds=seconds, out=out))


@group.command("forecast")
@command
def forecast_command(file: File, supply: Supply = None, seed: Seed = None, as_json: AsJson = False) -> None:
    """Compare what weights and counts want with what a plan gives, and show how rare pieces will be."""
    collection = _collection(file)
    made = _planned(lambda: make_plan(collection, supply=supply, seed=seed), as_json=as_json)
    expected = forecast(made)
    emit(_forecast_body(expected), as_json=as_json, text=tables.forecast(expected))


def _collection(file: Path) -> Collection:
    """The collection of a document, with media named by content where the files are there.

    Files play no part in planning, so that a document can be planned before its art
    is drawn; where they are all there, the plan's hash is the one a cook gets.

    Raises:
        InvalidMany: the document is malformed, or an image folder cannot be read.
    """
    document = read_collection_file(file)
    parse_collection(document, source=str(file))
    media = list(media_paths(document))
    if not media:
        return parse_collection(document, source=str(file))
    try:
        loaded = asyncio.run(load(document, base=file.absolute().parent, blobs=Digests()))
    except InvalidMany as error:
        if any(path.endswith("images.folder") for path, _ in media):
            raise InvalidMany(error.problems, source=str(file)) from error
        talk.print(f"note: {len(error.problems)} of its files cannot be read; planned without them")
        return parse_collection(document, source=str(file))
    return parse_collection(loaded, source=str(file))


def _planned(work: Callable[[], R], *, as_json: bool) -> R:
    """The result of ``work``; settings that admit no plan are printed and end the command."""
    try:
        with talk.status("planning"):
            return work()
    except Infeasible as error:
        if as_json:
            emit({"infeasible": {"reasons": list(error.reasons)}}, as_json=True)
        for line in error_lines(error):
            talk.print(line, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None


def _write(out: Path, made: Plan) -> None:
    """Write the plan beside ``out`` first, so that a broken run leaves no half file."""
    if out.is_dir():
        raise Invalid(f"{out}: is a folder; name a file")
    part = out.with_name(f".{out.name}.part")
    try:
        with part.open("wb") as target:
            target.writelines(plan_lines(made))
        part.replace(out)
    except FileNotFoundError:
        raise NotFound(f"{out}: its folder does not exist") from None
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Invalid(f"{out}: cannot be written: {error.strerror}") from error


def _forecast_body(expected: Forecast) -> dict[str, Any]:
    body: dict[str, Any] = {
        "pieces": expected.pieces,
        "oneOfOnes": expected.one_of_ones,
        "largestDeviation": round(expected.largest_deviation, 3),
        "categories": [
            {
                "category": found.category,
                **({"numbers": found.numbers} if found.numbers is not None else {}),
                "options": [
                    {
                        "option": option.option,
                        "wanted": round(option.wanted, 3),
                        "count": option.count,
                        "exact": option.exact,
                    }
                    for option in found.options
                ],
            }
            for found in expected.categories
        ],
        "subCollections": dict(expected.sub_collections),
    }
    if expected.rarity is not None:
        rarity = expected.rarity
        body["rarity"] = {
            "least": round(rarity.least, 6),
            "median": round(rarity.median, 6),
            "greatest": round(rarity.greatest, 6),
            "histogram": list(rarity.histogram),
        }
    return body

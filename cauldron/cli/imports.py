"""``cauldron import`` and ``cauldron init``: other engines' projects and plain folders become collections."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn

from cauldron.adapters.importers import example, writing
from cauldron.adapters.importers.findings import Imported
from cauldron.adapters.importers.folder import import_folder
from cauldron.adapters.importers.hashlips import import_hashlips
from cauldron.adapters.importers.nft_generator import import_nft_generator
from cauldron.cli.output import command, counted, emit, talk
from cauldron.cli.progress import is_live
from cauldron.domain.errors import Invalid

DOCUMENT = "collection.yaml"
SHOWN_NOTES = 40
Out = Annotated[Path, typer.Option("--out", help="The document to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]

importing = typer.Typer(no_args_is_help=True, help="Make a collection of another engine's project.")


def register(app: typer.Typer) -> None:
    """Add ``import`` and ``init``."""
    app.add_typer(importing, name="import")
    app.command("init")(init)


@importing.command("hashlips")
@command
def hashlips(
    folder: Annotated[Path, typer.Argument(help="The project: src/config.js and layers/.")],
    *,
    out: Out = Path(DOCUMENT),
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Import a HashLips project or one of its nftchef fork; its configuration is never executed."""
    _finish(import_hashlips(folder, out=out), out, force=force, as_json=as_json)


@importing.command("nft-generator")
@command
def nft_generator(
    file: Annotated[Path, typer.Argument(help="The JSON configuration of nft-generator-py.")],
    *,
    out: Out = Path(DOCUMENT),
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Import a configuration of nft-generator-py."""
    _finish(import_nft_generator(file, out=out), out, force=force, as_json=as_json)


@command
def init(
    folder: Annotated[Path, typer.Argument(help="Where collection.yaml is written.")],
    *,
    source: Annotated[Path | None, typer.Option("--from", help="Where the layer folders are.")] = None,
    with_example: Annotated[bool, typer.Option("--example", help="Copy the example collection.")] = False,
    name: Annotated[str, typer.Option(help="The collection's name; the folder's when absent.")] = "",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a collection of a plain folder of layer folders, one category per folder."""
    if with_example and source is not None:
        raise Invalid("give --from or --example, not both")
    out = folder / DOCUMENT
    found = example.import_example() if with_example else _from_folder(source or folder, out, name)
    _finish(found, out, force=force, as_json=as_json)


def _from_folder(source: Path, out: Path, name: str) -> Imported:
    """The collection of ``source``, or of the folder ``layers`` in it."""
    inner = source / "layers"
    return import_folder(inner if inner.is_dir() else source, out=out, name=name or out.parent.resolve().name)


def _finish(imported: Imported, out: Path, *, force: bool, as_json: bool) -> None:
    """Write the document, say what was left out and what to do next, answer."""
    _write(imported, out, force=force)
    for note in imported.not_understood[:SHOWN_NOTES]:
        talk.print(f"not understood: {note}", style="yellow", markup=False, soft_wrap=True)
    if len(imported.not_understood) > SHOWN_NOTES:
        talk.print(f"and {len(imported.not_understood) - SHOWN_NOTES} more; --json lists all")
    kinds = "1 category" if imported.categories == 1 else f"{imported.categories:,} categories"
    emit(
        {
            "collection": str(out),
            "categories": imported.categories,
            "options": imported.options,
            "notUnderstood": imported.not_understood,
        },
        as_json=as_json,
        text=f"{out}: {kinds}, {counted(imported.options, 'option')}",
    )
    for line in ("validate", "plan", "cook"):
        talk.print(_next_step(line, out), markup=False, soft_wrap=True)


def _next_step(step: str, out: Path) -> str:
    return {
        "validate": f"check it:      cauldron collection validate {out}",
        "plan": f"see the plan:  cauldron collection plan {out} --out plan.json",
        "cook": f"cook ten:      cauldron cook start {out} --amount 10 --wait",
    }[step]


def _write(imported: Imported, out: Path, *, force: bool) -> None:
    columns = (TextColumn("copying images"), MofNCompleteColumn())
    with Progress(*columns, console=talk, transient=True, disable=not (imported.copies and is_live())) as bar:
        task = bar.add_task("copy", total=len(imported.copies))
        writing.write(
            imported,
            out,
            force=force,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )

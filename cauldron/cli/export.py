"""``cauldron export``: writing finished collections out, and checking them."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.directory import Directory
from cauldron.bootstrap import Studio
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.cli.progress import bar
from cauldron.cli.session import run
from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.export import ExportResult
from cauldron.services.shipping import Shipment
from cauldron.services.verifying import VerifyReport, verify

group = typer.Typer(no_args_is_help=True, help="Write finished collections out, and check what was written.")
MOST_SHOWN = 20  # problems shown to people; --json has them all

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an export.")]
Root = Annotated[
    str | None,
    typer.Option(
        "--merkle-root", metavar="HEX", help="The root published elsewhere, to be the one found here."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the ``export`` group to the command."""
    app.add_typer(group, name="export")


@group.command("start")
@command
def start(
    cook: Annotated[str, typer.Argument(metavar="COOK", help="A cook's id, or the start of it.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="An empty folder, or an earlier export.")],
    kind: Annotated[str, typer.Option("--format", help="The metadata standard: erc721.")] = "erc721",
    publish: Annotated[bool, typer.Option("--publish", help="Fix the token numbers for good.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Export though the cook is not done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the approved pieces of a cook out as a finished drop."""

    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        shipment = Shipment(cook_id=cook_id, format=kind, publish=publish, partial=partial)
        with bar("exporting", quiet=as_json) as progress:
            export_id, result = await app.shipping.ship(
                shipment, target=Directory(to), actor=app.owner, progress=progress
            )
        for problem in result.skipped:
            talk.print(f"left out: {problem.message}", style="yellow", markup=False)
        emit(exported(export_id, result), as_json=as_json, text=_exported_text(result, to))

    run(work)


def exported(export_id: str, result: ExportResult) -> dict[str, Any]:
    """The answer of ``export start``."""
    return {
        "exportId": export_id,
        "pieces": result.pieces,
        "baseUri": result.base_uri,
        "provenance": result.provenance_hash,
        "merkleRoot": result.merkle_root,
        "partial": result.partial,
        "skipped": [problem.message for problem in result.skipped],
    }


def _exported_text(result: ExportResult, to: Path) -> str:
    kind = " (partial)" if result.partial else ""
    return (
        f"{result.pieces:,} pieces{kind} in {to}\n"
        f"images        {to / 'images'}\n"
        f"contact sheet {to / 'contact-sheet.jpg'}\n"
        f"report        {to / 'report.html'}\n"
        f"provenance    {result.provenance_hash}"
    )


@group.command("verify")
@command
def verify_command(folder: Folder, merkle_root: Root = None, as_json: AsJson = False) -> None:
    """Check an export from its own files: nothing missing, added, changed or renumbered."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder")
    if merkle_root is not None and not _is_hash(merkle_root):
        raise Invalid("--merkle-root must be 64 hexadecimal digits")
    report = asyncio.run(verify(Directory(folder), merkle_root=merkle_root))
    emit(_body(report), as_json=as_json, text=_summary(report, folder))
    if not as_json:
        _tell(report)
    if not report.ok:
        raise typer.Exit(REFUSED)


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)


def _body(report: VerifyReport) -> dict[str, Any]:
    problems = [{"path": p.path, "code": p.code, "message": p.message} for p in report.problems]
    return {"ok": report.ok, "pieces": report.pieces, "problems": problems, "unlisted": report.unlisted}


def _summary(report: VerifyReport, folder: Path) -> str:
    if report.ok:
        return f"{folder}: {report.pieces:,} pieces, everything as it was exported"
    count = len(report.problems) + report.unlisted
    return f"{folder}: {count:,} problem{'s' if count != 1 else ''}"


def _tell(report: VerifyReport) -> None:
    for problem in report.problems[:MOST_SHOWN]:
        line = f"  {problem.path}: {problem.message}"
        shown = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)
        talk.print(shown, markup=False, soft_wrap=True)
    more = len(report.problems) - MOST_SHOWN + report.unlisted
    if more > 0:
        talk.print(f"  and {more:,} more (--json lists up to a thousand)")

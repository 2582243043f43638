"""``cauldron export``: writing finished collections out, and checking them."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.directory import Directory
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.domain.errors import Invalid, NotFound
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
        talk.print(f"  {problem.path}: {problem.message}", markup=False, soft_wrap=True)
    more = len(report.problems) - MOST_SHOWN + report.unlisted
    if more > 0:
        talk.print(f"  and {more:,} more (--json lists up to a thousand)")

"""What every command shares: results on stdout, talk on stderr, exit codes, errors."""

import functools
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

from cauldron.domain.errors import CauldronError, Invalid, InvalidMany

P = ParamSpec("P")
R = TypeVar("R")

talk = Console(stderr=True, highlight=False)
REFUSED, MALFORMED = 1, 2
COMMAND = "cauldron"


def emit(result: Mapping[str, Any], *, as_json: bool, text: str | None = None) -> None:
    """Print a result to stdout, at once: one JSON object, or ``text`` for people."""
    if as_json:
        sys.stdout.write(_json(result) + "\n")
    else:
        sys.stdout.write((text if text is not None else _plain(result)) + "\n")
    sys.stdout.flush()  # the command may go on for long, and a pipe would keep the line


def _json(result: Mapping[str, Any]) -> str:
    """One line; letters are escaped where stdout cannot show them all."""
    everything = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(result, ensure_ascii=not everything)


def _plain(result: Mapping[str, Any]) -> str:
    width = max((len(key) for key in result), default=0)
    return "\n".join(f"{key.ljust(width)}  {value}" for key, value in result.items())


def counted(count: int, noun: str) -> str:
    """``1 piece``, ``2,000 pieces``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def own_name() -> str:
    """The command as it can be typed in this shell: its path where ``cauldron`` alone is not found."""
    called = Path(sys.argv[0])
    if called.name != COMMAND or shutil.which(COMMAND):
        return COMMAND
    try:
        return shlex.quote(str(called.absolute().relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(called.absolute()))


def size(count: int) -> str:
    """Bytes for people: ``3.2 MB``."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def fail(error: CauldronError, *, as_json: bool) -> NoReturn:
    """Report one failure and leave: 2 for malformed input, 1 for what cannot be done."""
    if as_json:
        sys.stdout.write(_json(error_body(error)) + "\n")
    for line in error_lines(error):
        talk.print(line, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(MALFORMED if isinstance(error, Invalid) else REFUSED)


def error_body(error: CauldronError) -> dict[str, Any]:
    """The failure as JSON: ``{error: {code, message, …details, problems?}}``."""
    body: dict[str, Any] = {"code": error.code, "message": error.message, **error.details}
    if isinstance(error, InvalidMany):
        body["problems"] = [{"path": p.path, "code": p.code, "message": p.message} for p in error.problems]
    return {"error": body}


def error_lines(error: CauldronError) -> list[str]:
    """The failure as sentences, one per problem."""
    if isinstance(error, InvalidMany):
        where = error.details.get("source")
        prefix = f"{where}: " if where else ""
        return [f"{prefix}{p.path}: {p.message}" for p in error.problems]
    reasons = getattr(error, "reasons", ())
    return [error.message, *(f"  - {reason}" for reason in reasons)]


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Map our failures to exit codes; the command takes its ``--json`` flag as ``as_json``."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CauldronError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return wrapped

"""The table of results in README.md, written from ``results/*.json``.

python -m benchmarks.report
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS

README = Path(__file__).parent / "README.md"
START, END = "<!-- results -->", "<!-- end of results -->"


def table(folder: Path = RESULTS) -> str:
    """Markdown: every row of every file, and below it the machines."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return "No results are recorded yet: `make bench` makes them."
    lines = ["| benchmark | what | ours | beside | times better |", "|---|---|--:|---|--:|"]
    machines: dict[str, list[str]] = {}
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))
        lines += [_line(file.stem, row) for row in rows]
        if rows:
            machines.setdefault(machine(rows[0]["machine"]), []).append(file.stem)
    return "\n".join([*lines, "", *_machines(machines)])


def _line(name: str, row: Mapping[str, Any]) -> str:
    peer = f"{row['peerName']}: {_figure(row['peer'])}" if row["peer"] is not None else row["peerName"]
    ratio = "" if row["ratio"] is None else f"{row['ratio']:g}"
    return f"| {name} | {row['name']} | {_figure(row['ours'])} {row['unit']} | {peer} | {ratio} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machines(machines: Mapping[str, list[str]]) -> Iterator[str]:
    for text, names in machines.items():
        yield f"{', '.join(names)}: {text}."


def machine(found: Mapping[str, Any]) -> str:
    """One line about where and under which load the figures were taken."""
    fsync = found["fsync"]
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memoryMb'] / 1000:.0f} GB,"
        f" Python {found['python']}, SQLite {found['sqlite']}, load {found['loadAverage'][0]:g},"
        f" fsync {fsync['perSecond']:,}/s (p99 {fsync['p99Us']} µs)"
    )


def write(readme: Path = README, folder: Path = RESULTS) -> None:
    """Put the table between its marks. Raises ValueError when they are missing."""
    text = readme.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{readme.name} has no marks for the results")
    readme.write_text(f"{before}{START}\n{table(folder)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()

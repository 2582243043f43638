"""Writes the generated parts of the documentation anew: ``python -m scripts.reference``.

A page marks a generated part with ``<!-- generated: NAME -->`` and ``<!-- end -->``; what stands
between is replaced. A test holds the pages against what this module would write.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from cauldron import config
from cauldron.cli import app as cli
from cauldron.cli.contents import COMMANDS
from cauldron.domain import events
from scripts import error_tables, http_tables, record_tables
from scripts.state_tables import TABLES, table

ROOT = Path(__file__).parents[1]

DOCS = ROOT / "docs"
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SETTING = re.compile(r"\bCAULDRON_[A-Z][A-Z0-9_]*\b")


def _events() -> str:
    parts = [table(("event", "meaning"), [(f"`{n}`", text) for n, text in events.EVENT_TYPES.items()])]
    parts.append("Read from a range, one per piece:")
    parts.append(table(("event", "meaning"), [(f"`{n}`", text) for n, text in events.FLATTENED.items()]))
    return "\n\n".join(parts)


def _event_fields() -> str:
    parts = []
    for name in events.EVENT_TYPES:
        shape = getattr(events, name, None) or events.CastEnded
        hints = get_type_hints(shape)
        fields = [
            (f"`{f}`", _type_name(hint), "" if f in shape.__required_keys__ else "optional")
            for f, hint in hints.items()
        ]
        parts.append(f"### {name}\n\n" + table(("field", "type", ""), fields))
    return "\n\n".join(parts)


def _type_name(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return f"`{re.sub(r'[a-z_.]+[.](?=[A-Z])|typing[.]', '', name)}`"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the CLI by its full name, groups left out."""
    for word in COMMANDS:
        yield from _walk(f"cauldron {word}", cli.found(word))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command  # a command of its own besides what is below it
    for word, inner in below.items():
        yield from _walk(f"{name} {word}", inner)


def _commands() -> str:
    return "\n\n".join(_command(name, command) for name, command in commands())


def _command(name: str, command: Any) -> str:
    wanted = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *(_wanted(p) for p in wanted)])
    said = _sentence(command.help or "")
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    rows = [(f"`{', '.join(p.opts + p.secondary_opts)}`", getattr(p, "help", "") or "") for p in options]
    return "\n\n".join(
        [f"### {name}", f"`{usage}`", said, *([table(("option", "meaning"), rows)] if rows else [])]
    )


def _wanted(argument: Any) -> str:
    word = (argument.metavar or argument.name or "").upper()
    word = word.rstrip("…") + ("…" if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def settings() -> list[str]:
    """Every ``CAULDRON_…`` variable: those declared, and any that the package names without declaring it."""
    sources = sorted((ROOT / "cauldron").rglob("*.py"))
    named = {name for path in sources for name in SETTING.findall(path.read_text(encoding="utf-8"))}
    return list(dict.fromkeys([*_declared(), *sorted(named)]))


def _declared() -> dict[str, Any]:
    prefix = config.Settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper(): field for name, field in config.Settings.model_fields.items()}


def _settings() -> str:
    rows = [
        (f"`{name}`", f.description or "", f"`{f.default}`" if str(f.default) else "")
        for name, f in _declared().items()
    ]
    return table(("variable", "meaning", "default"), rows)


def _first(thing: Any) -> str:
    return _sentence(inspect.getdoc(thing) or "")


def _sentence(text: str) -> str:
    return inspect.cleandoc(text).split("\n\n")[0].replace("\n", " ").replace("``", "`")


BLOCKS: Mapping[str, Callable[[], str]] = {
    **error_tables.TABLES,
    "events": _events,
    "event-fields": _event_fields,
    "commands": _commands,
    "settings": _settings,
    "audit-rules": record_tables.audit_rules,
    "records": record_tables.records,
    **http_tables.TABLES,
    **TABLES,
}


def renewed(text: str) -> str:
    """A page with its generated parts as they should be.

    Raises:
        KeyError: a part has a name that nothing generates.
    """
    return BLOCK.sub(lambda m: f"{m[1]}\n{BLOCKS[m[2]]()}\n\n{m[3]}", text)


def main() -> None:
    """Write every page whose generated parts have changed."""
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

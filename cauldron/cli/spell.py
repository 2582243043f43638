"""``cauldron spell``: check, keep and publish spells."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.documents import read_mapping
from cauldron.bootstrap import Studio
from cauldron.cli.output import MALFORMED, command, emit, error_lines, talk
from cauldron.cli.session import run
from cauldron.cli.tool import table, with_tools
from cauldron.domain.errors import InvalidMany, NotFound, Problem
from cauldron.domain.spell_graph import CheckedSpell, check_document
from cauldron.domain.tool_document import port_document
from cauldron.ports.storage import Doc
from cauldron.services.spell_versions import margin_of

group = typer.Typer(no_args_is_help=True, help="Compose tools into spells, keep drafts, publish versions.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A spell document, YAML or JSON.")]
Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The spell's slug.")]
Revision = Annotated[
    int | None, typer.Option("--revision", min=0, help="Refuse unless the draft is at this revision.")
]
Version = Annotated[int | None, typer.Option("--version", min=1, help="A published version, not the draft.")]


NO_SPELL = "no spells yet: cauldron spell save FILE keeps one"


def register(app: typer.Typer) -> None:
    """Add the ``spell`` group to the command."""
    app.add_typer(group, name="spell")


@group.command("validate")
@command
def validate_command(file: File, as_json: AsJson = False) -> None:
    """Check a spell document: its form, its graph, and every input against its tool."""
    document = read_mapping(file)
    try:
        checked = with_tools(lambda known: check_document(document, known, source=str(file)))
    except InvalidMany as error:
        emit({"ok": False, "problems": problem_list(error.problems)}, as_json=as_json, text="not valid")
        if not as_json:
            talk.print("\n".join(error_lines(error)), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(MALFORMED) from None
    emit(checked_body(checked), as_json=as_json, text=checked_text(checked))


def checked_body(checked: CheckedSpell) -> dict[str, Any]:
    """What a valid spell is, as JSON."""
    return {
        "ok": True,
        "problems": [],
        "name": checked.spell.name,
        "slug": checked.spell.slug,
        "order": list(checked.order),
        "tools": {step: f"{tool.id}@{tool.version}" for step, tool in checked.tools.items()},
        "inputs": [port_document(port) for port in checked.inputs],
        "outputs": [port_document(port) for port in checked.outputs],
    }


def checked_text(checked: CheckedSpell) -> str:
    """What a valid spell is, for people."""
    steps = " → ".join(f"{step} ({checked.tools[step].id})" for step in checked.order)
    return f"{checked.spell.name} is valid: {steps}"


def problem_list(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    """Problems as JSON."""
    return [{"path": p.path, "code": p.code, "message": p.message} for p in problems]


@group.command("save")
@command
def save_command(file: File, revision: Revision = None, as_json: AsJson = False) -> None:
    """Keep a spell document as the draft of the spell with its slug."""
    document = read_mapping(file)

    async def work(app: Studio) -> tuple[Doc, tuple[Problem, ...]]:
        await app.tools.refresh(app.store)
        saved = await app.spells.save(document, new_id=app.new_id(), now_ms=app.clock(), revision=revision)
        return saved.record, saved.problems

    try:
        record, problems = run(work)
    except InvalidMany as error:
        raise InvalidMany(error.problems, source=str(file)) from error
    body = {"spellId": record["_id"], "slug": record["slug"], "revision": record["revision"]}
    emit(
        body | {"publishable": not problems, "problems": problem_list(problems)},
        as_json=as_json,
        text=f"saved {record['slug']}, revision {record['revision']}",
    )
    for problem in problems:
        talk.print(f"not yet publishable: {problem.path}: {problem.message}", markup=False, soft_wrap=True)


@group.command("publish")
@command
def publish_command(slug: Slug, revision: Revision = None, as_json: AsJson = False) -> None:
    """Make the draft an immutable version; the same content is never published twice."""

    async def work(app: Studio) -> tuple[Doc, bool]:
        await app.tools.refresh(app.store)
        published = await app.spells.publish(slug, now_ms=app.clock(), revision=revision)
        return published.version, published.new

    version, new = run(work)
    said = "published" if new else "published before:"
    emit(
        version_body(version) | {"new": new},
        as_json=as_json,
        text=f"{said} {slug} version {version['version']}",
    )


@group.command("unpublish")
@command
def unpublish_command(slug: Slug, as_json: AsJson = False) -> None:
    """Stop offering the spell for new casts; its versions stay for what uses them."""

    async def work(app: Studio) -> Doc:
        return await app.spells.unpublish(slug, now_ms=app.clock())

    emit(record_body(run(work)), as_json=as_json, text=f"{slug} is no longer published")


@group.command("delete")
@command
def delete_command(slug: Slug, as_json: AsJson = False) -> None:
    """Take a spell away and free its slug; its versions stay for what uses them."""

    async def work(app: Studio) -> None:
        await app.spells.delete(slug, now_ms=app.clock())

    run(work)
    emit({"deleted": slug}, as_json=as_json, text=f"{slug} is deleted")


@group.command("list")
@command
def list_command(as_json: AsJson = False) -> None:
    """List the spells, latest change first."""

    async def work(app: Studio) -> list[Doc]:
        return await app.spells.all(limit=1000)

    spells = [record_body(record) for record in run(work)]
    columns = ("slug", "name", "visibility", "revision", "publishedVersion", "updatedAt")
    emit({"spells": spells}, as_json=as_json, text=table(spells, columns, empty=NO_SPELL))


@group.command("show")
@command
def show_command(slug: Slug, version: Version = None, as_json: AsJson = False) -> None:
    """Show a spell's draft, or one of its versions, as a document that can be saved again."""

    async def work(app: Studio) -> tuple[Doc, Any]:
        record = await app.spells.find(slug)
        if version is None:
            return record_body(record), record["draft"]
        found = next((v for v in await app.spells.versions(slug) if v["version"] == version), None)
        if found is None:
            raise NotFound(f"the spell {slug!r} has no version {version}", slug=slug, version=version)
        return version_body(found), found["document"]

    body, document = run(work)
    emit(
        body | {"document": document},
        as_json=as_json,
        text=json.dumps(document, indent=2, ensure_ascii=False),
    )


@group.command("versions")
@command
def versions_command(slug: Slug, as_json: AsJson = False) -> None:
    """List a spell's published versions, latest first."""

    async def work(app: Studio) -> list[Doc]:
        return await app.spells.versions(slug)

    versions = [version_body(version) for version in run(work)]
    columns = ("version", "createdAt", "retiredAt", "contentHash")
    none = f"no version yet: cauldron spell publish {slug}"
    emit({"versions": versions}, as_json=as_json, text=table(versions, columns, empty=none))


def record_body(record: Doc) -> dict[str, Any]:
    """A spell's record without its draft."""
    names = (
        "slug", "name", "description", "visibility", "owner", "environment", "previewImages",
        "revision", "lastVersion", "publishedVersion", "createdAt", "updatedAt",
    )  # fmt: skip
    return {"spellId": record["_id"], **{name: record[name] for name in names}, "margin": margin_of(record)}


def version_body(version: Doc) -> dict[str, Any]:
    """A published version without its content."""
    names = ("spellId", "version", "slug", "name", "contentHash", "configHash", "createdAt")
    return {name: version[name] for name in names} | {"retiredAt": version.get("retiredAt")}

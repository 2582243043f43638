"""Export jobs of the earlier system as records of exports."""

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.mapping import EXPORTS, Mapped, SetAside, Setting, cleaned, note_owner, record_of
from cauldron.domain.legacy.values import Doc, id_of, iso_of, items, part, rest_of, text_of, whole_of
from cauldron.domain.times import iso

CARRIED = frozenset({"_id", "userId", "collectionId", "status", "createdAt", "startedAt", "schemaVersion"})


def map_export(doc: Doc, setting: Setting) -> Mapped:
    """The record of an export; what was not done is failed, and never started again. Raises SetAside."""
    export_id = id_of(doc, "_id", "exportId")
    if export_id is None:
        raise SetAside("no_id", "the export has no id that could be kept")
    said = statuses.word(doc.get("status"))
    status = statuses.EXPORT.get(said)
    if status is None:
        raise SetAside("unknown_status", "the status is none that is known")
    notes = ["export.stale"] if said in ("pending", "running") else []
    owner = setting.owner(doc.get("userId"))
    note_owner(owner, notes)
    published = part(doc, "publishResult")
    record = record_of(
        export_id,
        setting,
        owner=owner,
        cookId=None,
        collectionId=id_of(doc, "collectionId"),
        format="legacy",
        to="",
        status=status,
        pieces=whole_of(part(doc, "progress").get("total")) or 0,
        partial=said == "completed_with_skips",
        published=bool(published),
        baseUri=cleaned(text_of(published.get("baseUrl")), notes),
        provenance=None,
        merkleRoot=None,
        manifest=None,
        skipped=[text_of(entry) for entry in items(doc, "skipped")[:500]],
        createdAt=iso_of(doc.get("createdAt")) or iso_of(doc.get("startedAt")) or iso(0),
        legacy=dict(cleaned({**rest_of(doc, CARRIED), "status": said}, notes)),
    )
    return Mapped([(EXPORTS, record)], notes)

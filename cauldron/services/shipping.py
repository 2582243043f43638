"""From a cook to an export: which pieces go out, with which token numbers, and what is recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cauldron.domain.binding import resolve_inputs
from cauldron.domain.collection import Collection
from cauldron.domain.commands import RecordExport
from cauldron.domain.cook_state import (
    APPROVED,
    CULLED,
    ENDED,
    FAILED,
    GENERATED,
    KEPT,
    QUEUED,
    REJECTED,
    Cook,
)
from cauldron.domain.errors import Refused
from cauldron.domain.export import ExportPiece, ExportResult, ExportSpec, MetadataOptions
from cauldron.domain.exportable import check_exportable, is_partial
from cauldron.domain.media import is_media
from cauldron.domain.plan import Plan, Selection
from cauldron.domain.status import piece_id
from cauldron.domain.times import iso
from cauldron.ports.blobs import BlobStore
from cauldron.ports.exporting import ExportTarget, SheetRenderer
from cauldron.ports.storage import Doc, Put, Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.cooking import Cooking
from cauldron.services.exporting import Progress, export
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import Recipe, Recipes

PAGE = 500
COUNTED = {"approved": (APPROVED, KEPT), "unreviewed": (GENERATED,), "rejected": (REJECTED,)}
COUNTED |= {"failed": (FAILED,), "culled": (CULLED,), "queued": (QUEUED,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """An export to make: of one cook, in a format.

    ``publish`` fixes the token numbers: later exports keep them and number only
    pieces that are new. ``partial`` allows a cook that is not finished. One that has
    an ``export_id`` may be carried out again under it; ``place`` is what records call
    the target, instead of where it is.
    """

    cook_id: str
    format: str = "erc721"
    publish: bool = False
    partial: bool = False
    export_id: str = ""
    place: str = ""


@dataclass(slots=True)
class Shipping:
    """Exports the approved pieces of cooks."""

    store: Store
    cooking: Cooking
    recipes: Recipes
    blobs: BlobStore
    sheet: SheetRenderer
    clock: Clock
    new_id: NewId

    async def ship(
        self,
        shipment: Shipment,
        *,
        target: ExportTarget,
        actor: str,
        progress: Progress | None = None,
    ) -> tuple[str, ExportResult]:
        """Export a cook's approved, not culled pieces; the same pieces give the same bytes.

        Returns:
            The export's id and its result.

        Raises:
            NotFound: no such cook. Refused: nothing is approved, a published piece is
            gone, or ``target`` holds something else. StorageFull: run it again to go on.
        """
        cook_id = shipment.cook_id
        await self.cooking.status(cook_id)
        await self.cooking.project(cook_id)
        cook = (await self.cooking.cooks.load(stream_of(cook_id))).state
        check_exportable(cook, partial=shipment.partial)
        recipe = await self.recipes.recipe(cook.started["configHash"])
        pieces = await self._pieces(cook, recipe, fixed=await self._fixed(cook))
        spec = await self._spec(cook, recipe, shipment)
        result = await export(
            spec, pieces, blobs=self.blobs, target=target, sheet=self.sheet, progress=progress
        )
        export_id = await self._record(shipment, result, cook=cook, place=target.place, actor=actor)
        return export_id, result

    async def _pieces(self, cook: Cook, recipe: Recipe, *, fixed: Mapping[int, int]) -> list[ExportPiece]:
        """The approved pieces in slot order."""
        pieces: list[ExportPiece] = []
        numbers = cook.in_state(APPROVED, KEPT)
        for start in range(0, len(numbers), PAGE):
            part = numbers[start : start + PAGE]
            docs = await self.store.get("pieces", [piece_id(cook.started["cookId"], n) for n in part])
            for number, doc in zip(part, docs, strict=True):
                if doc is None:
                    raise Refused(f"the record of piece {number} is missing: run cauldron rebuild")
                plan = await self.recipes.plan(cook.plan_of(number)[0])
                pieces.append(_export_piece(doc, plan.selection(doc["slot"]), recipe, fixed=fixed))
        return sorted(pieces, key=lambda piece: piece.slot)

    async def _fixed(self, cook: Cook) -> dict[int, int]:
        """Published token numbers, slot → token."""
        if not cook.published_tokens:
            return {}
        tokens = orjson.loads(await self.blobs.get(cook.published_tokens))
        return {int(slot): int(token) for slot, token in tokens.items()}

    async def _spec(self, cook: Cook, recipe: Recipe, shipment: Shipment) -> ExportSpec:
        collection = _collection_of(recipe)
        plan = await self.recipes.plan(cook.plans[-1][1])
        text = collection.metadata
        return ExportSpec(
            name=collection.name,
            slug=collection.slug,
            description=collection.description,
            metadata=MetadataOptions(
                name=text.name,
                description=text.description,
                external_url=text.external_url,
                base_uri=text.base_uri,
                symbol=text.symbol,
                prompt=text.prompt,
            ),
            format=shipment.format,
            plan_hash=plan.plan_hash,
            collection_hash=collection.version_hash,
            seed=cook.started["seed"],
            supply=cook.amount,
            partial=is_partial(cook),
            counts=slot_counts(cook) if is_partial(cook) else {},
            planned=planned_counts(plan, collection),
            planned_pieces=plan.supply,
            categories=tuple(collection.by_name),
        )

    async def _record(
        self, shipment: Shipment, result: ExportResult, *, cook: Cook, place: str, actor: str
    ) -> str:
        """Write down the export; with ``publish`` also the token numbers it gave."""
        tokens = await self._tokens(cook, result) if shipment.publish else ""
        export_id = shipment.export_id or self.new_id()
        command = RecordExport(
            key=f"export:{export_id}",
            export_id=export_id,
            pieces=result.pieces,
            base_uri=result.base_uri,
            provenance=result.provenance_hash,
            published=shipment.publish,
            tokens=tokens or None,
        )
        if cook.state in ENDED:
            await self.cooking.command(shipment.cook_id, command, actor=actor)
        doc: Doc = {
            "_id": export_id,
            "schemaVersion": 2,
            "cookId": shipment.cook_id,
            "collectionId": cook.started["collectionId"],
            "owner": cook.started["owner"],
            "visibility": cook.started["visibility"],
            "environment": cook.started["environment"],
            "format": shipment.format,
            "to": shipment.place or place,
            "status": "done",
            "pieces": result.pieces,
            "partial": result.partial,
            "published": shipment.publish,
            "baseUri": result.base_uri,
            "provenance": result.provenance_hash,
            "merkleRoot": result.merkle_root,
            "manifest": result.manifest_sha256,
            "skipped": [problem.message for problem in result.skipped],
            "createdAt": iso(self.clock()),
        }
        await self.store.commit([Put("exports", doc, None if shipment.export_id else 0)])
        return export_id

    async def _tokens(self, cook: Cook, result: ExportResult) -> str:
        """The blob of the published numbers: those fixed before, then the new ones by slot."""
        fixed = await self._fixed(cook)
        slots = sorted({cook.slot_of[n - 1] for n in cook.in_state(APPROVED, KEPT)} - set(fixed))
        tokens = fixed | {slot: len(fixed) + i for i, slot in enumerate(slots, 1)}
        if len(tokens) != result.pieces:
            raise Refused("pieces were left out of the export: it cannot be published")
        return await self.blobs.put(orjson.dumps({str(k): v for k, v in sorted(tokens.items())}))


def slot_counts(cook: Cook) -> dict[str, int]:
    """How many slots are in which state, by their newest piece."""
    codes = [cook.piece_state[n - 1] for n in cook.slot_current if n]
    counted = {name: sum(codes.count(code) for code in states) for name, states in COUNTED.items()}
    return {name: count for name, count in counted.items() if count}


def planned_counts(plan: Plan, collection: Collection) -> dict[str, dict[str, int]]:
    """Label → option → pieces that the plan gives it, for what the metadata shows."""
    by_name = collection.by_name
    return {
        by_name[name].label: {str(option): count for option, count in counts.items() if option is not None}
        for name, counts in plan.counts().items()
        if by_name[name].metadata
    }


def _collection_of(recipe: Recipe) -> Collection:
    if recipe.collection is None:
        raise Refused("this cook has no collection to export")
    return recipe.collection


def _export_piece(doc: Doc, selection: Selection, recipe: Recipe, *, fixed: Mapping[int, int]) -> ExportPiece:
    collection = _collection_of(recipe)
    output: Any = doc["output"]
    prompt = resolve_inputs(collection, selection).get("prompt")
    return ExportPiece(
        number=doc["number"],
        slot=doc["slot"],
        token=fixed.get(doc["slot"], 0),
        media=(output,) if is_media(output) else (),
        traits=dict(selection.traits),
        display_types=_display_types(collection),
        prompt=prompt if isinstance(prompt, str) else None,
        name_extra=dict(selection.texts),
        one_of_one=selection.one_of_one,
    )


def _display_types(collection: Collection) -> dict[str, str]:
    categories: Sequence[Any] = tuple(collection.by_name.values())
    return {c.label: c.display_type for c in categories if c.display_type}

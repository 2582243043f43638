"""What a HashLips or nftchef configuration says beside its layers: names, metadata, output."""

from collections.abc import Sequence
from typing import Any

from cauldron.adapters.importers.jsvalues import Opaque
from cauldron.adapters.importers.names import clean, slug
from cauldron.adapters.importers.settings import Settings

WITHOUT_EFFECT = frozenset(
    {"debugLogs", "preview", "preview_gif", "uniqueDnaTorrance", "hashImages", "buildDir", "collectionSize"}
)
"""Settings of logging, previews and retries: here the plan never retries and every export has previews."""

_USUAL_PIXEL_RATIO = 2 / 128
_MAX_DESCRIPTION_CHARS = 5_000
_MAX_ADDRESS_CHARS = 2_000
_MAX_SYMBOL_CHARS = 10


def read_names(config: Settings, *, fallback: str, prefixes: Sequence[str]) -> dict[str, Any]:
    """``{cauldron, name, slug, description?}`` of the collection."""
    prefix = config.text("namePrefix") or next((p for p in prefixes if p), "")
    name = clean(prefix, otherwise=fallback)
    document: dict[str, Any] = {"cauldron": 1, "name": name, "slug": slug(name) or "collection"}
    description = config.text("description")
    if description:
        document["description"] = description[:_MAX_DESCRIPTION_CHARS]
    return document


def read_metadata(config: Settings, *, name: str, prefixes: Sequence[str]) -> dict[str, Any]:
    """The ``metadata`` of the document: name and description templates, addresses, symbol."""
    if len(set(prefixes)) > 1:
        config.note("layerConfigurations", "each has a namePrefix; one name is used for every piece here")
    metadata: dict[str, Any] = {"name": f"{template(name)} #{{{{number}}}}"}
    description = config.text("description")
    if description:
        metadata["description"] = template(description[:_MAX_DESCRIPTION_CHARS])
    if config.text("baseUri"):
        metadata["baseUri"] = config.text("baseUri")[:_MAX_ADDRESS_CHARS]
    _extra_metadata(config.object("extraMetadata"), metadata)
    _network(config, metadata)
    return metadata


def look_at_output(config: Settings, inputs: dict[str, Any]) -> None:
    """Take over what the rest says of the output, and note what has no counterpart."""
    _background(config.object("background"), inputs)
    noted = {
        ("text", "only"): "text instead of images is not drawn",
        ("gif", "export"): "an animation of the layers piling up is not made",
    }
    for (group, key), reason in noted.items():
        settings = config.object(group)
        if settings.flag(key):
            settings.note(key, reason)
    ratio = config.object("pixelFormat").number("ratio", _USUAL_PIXEL_RATIO)
    if ratio != _USUAL_PIXEL_RATIO:
        config.note("pixelFormat", "the separate step that makes images coarser is not run here")
    if config.flag("outputJPEG"):
        config.note("outputJPEG", "images are PNG here")
    if config.has("startIndex") and config.number("startIndex") != 1:
        config.note("startIndex", f"token numbers begin at 1 here, not at {config.raw('startIndex')}")
    if config.has("useRootTraitType") and not config.flag("useRootTraitType"):
        config.note("useRootTraitType", "traits keep the names of their layers")
    _extra_attributes(config)
    _layers_folder(config)
    config.finish(WITHOUT_EFFECT)


def template(text: str) -> str:
    """``text`` as a template that says just that."""
    return text.replace("[[", "\\[[").replace("{{", "\\{{")


def _extra_metadata(extra: Settings, metadata: dict[str, Any]) -> None:
    if extra.has("external_url"):
        metadata["externalUrl"] = template(extra.text("external_url"))[:_MAX_ADDRESS_CHARS]
    extra.finish()


def _network(config: Settings, metadata: dict[str, Any]) -> None:
    """Solana's own metadata; it has no effect on another network."""
    network = config.raw("network")
    solana = config.object("solanaMetadata")
    if network != "sol":
        if network not in (None, "eth"):
            config.note("network", "is not a network known here; metadata follows ERC-721")
        return
    config.note("network", "Solana numbers tokens from 0; numbers begin at 1 here")
    if solana.has("symbol"):
        metadata["symbol"] = clean(solana.text("symbol"), otherwise="")[:_MAX_SYMBOL_CHARS]
    if solana.has("external_url"):
        metadata["externalUrl"] = template(solana.text("external_url"))[:_MAX_ADDRESS_CHARS]
    for key in ("seller_fee_basis_points", "creators"):
        if solana.has(key):
            solana.raw(key)
            solana.note(key, "royalties are given when exporting for Solana, not in the collection")
    solana.finish()


def _background(background: Settings, inputs: dict[str, Any]) -> None:
    generate, static = background.flag("generate"), background.flag("static")
    color = background.text("default")
    background.raw("brightness")
    if generate and static and len(color) == 7 and color.startswith("#"):
        inputs["background"] = color
    elif generate:
        background.note("generate", "a background of random colour is not drawn; add a category for it")
    background.finish()


def _extra_attributes(config: Settings) -> None:
    extra = config.raw("extraAttributes")
    result = extra.result if isinstance(extra, Opaque) else extra
    if extra is not None and result != []:
        config.note("extraAttributes", "attributes made by a function are left out; use a range category")


def _layers_folder(config: Settings) -> None:
    """``layersDir`` is understood where it is the usual folder."""
    folder = config.raw("layersDir")
    text = folder.text if isinstance(folder, Opaque) else folder
    if text is not None and str(text).strip("\"'`)").rpartition("/")[2] != "layers":
        config.note("layersDir", "layers are read from the folder layers/")

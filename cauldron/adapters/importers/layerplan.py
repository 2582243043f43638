"""Layer configurations of a HashLips project: which layers, in which order, for how many pieces."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cauldron.adapters.importers.blending import MODES, Style
from cauldron.adapters.importers.layertree import Element
from cauldron.adapters.importers.settings import Settings

DISPLAY_TYPES = frozenset({"number", "boost_number", "boost_percentage", "date"})
MAX_SUPPLY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sublayer:
    """Settings of a nested folder: another trait name or style."""

    trait: str = ""
    blend: str | None = None
    opacity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUse:
    """One entry of a ``layersOrder``; two that are equal are one category."""

    folder: str
    label: str = ""
    style: Style = field(default_factory=Style)
    unique: bool = True
    display_type: str = ""
    sublayers: tuple[tuple[str, Sublayer], ...] = ()
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One layer configuration: how many pieces it makes, of which layers, lowest first."""

    size: int
    prefix: str
    layers: tuple[LayerUse, ...]


def read_stages(config: Settings) -> list[Stage]:
    """The layer configurations, with sizes as differences of ``growEditionSizeTo``."""
    stages: list[Stage] = []
    reached = 0
    for settings in config.objects("layerConfigurations"):
        goal = settings.whole("growEditionSizeTo", low=0, high=MAX_SUPPLY)
        layers = tuple(_layer(layer) for layer in settings.objects("layersOrder"))
        prefix = settings.text("namePrefix")
        if settings.flag("resetNameIndex"):
            settings.note("resetNameIndex", "names are numbered through the whole collection here")
        settings.finish()
        if goal is None and not settings.has("growEditionSizeTo"):
            settings.note("growEditionSizeTo", "is missing; this configuration is left out")
        elif goal is None or goal <= reached or not layers:
            settings.note("growEditionSizeTo", "makes no pieces; this configuration is left out")
        else:
            stages.append(Stage(size=goal - reached, prefix=prefix, layers=layers))
            reached = goal
    return stages


def merge_layers(stages: Sequence[Stage]) -> tuple[list[LayerUse], list[set[int]]]:
    """One order that contains the layers of every stage in that stage's own order.

    Returns:
        The layers, and per stage the indices of those it uses. A layer that
        stages use in different orders, or one twice, comes more than once.
    """
    order: list[tuple[LayerUse, set[int]]] = []
    for number, stage in enumerate(stages):
        at = 0
        for use in stage.layers:
            match = next((i for i in range(at, len(order)) if order[i][0] == use), None)
            if match is None:
                order.insert(at, (use, set()))
                match = at
            order[match][1].add(number)
            at = match + 1
    used = [{i for i, (_, users) in enumerate(order) if number in users} for number in range(len(stages))]
    return [use for use, _ in order], used


def element_style(element: Element, style: Style, *, use: LayerUse, settings: Settings) -> Style:
    """The style of an image or nested folder: its own, its folder's setting, or inherited."""
    sublayer = dict(use.sublayers).get(element.name, Sublayer())
    if sublayer.blend is not None:
        style = replace(style, blend=sublayer.blend)
    if sublayer.opacity is not None:
        style = replace(style, opacity=sublayer.opacity)
    if "blend" in element.query:
        style = replace(style, blend=blend_mode(element.query["blend"], settings, key=element.path.name))
    percent = element.query.get("opacity", "")
    if percent.isdecimal() and int(percent) <= 100:
        style = replace(style, opacity=int(percent) / 100)
    return style


def blend_mode(value: Any, settings: Settings, *, key: str) -> str:
    """Our name of a canvas blend mode; one that does not exist here becomes normal."""
    if isinstance(value, str) and value in MODES:
        return MODES[value]
    settings.note(key, f"the blend mode {str(value)[:40]!r} does not exist here; normal is used")
    return "normal"


def _layer(settings: Settings) -> LayerUse:
    options = settings.object("options")
    style = _style(options, _style(settings, Style()))
    display_type = settings.text("display_type")
    if display_type and display_type not in DISPLAY_TYPES:
        settings.note("display_type", f"{display_type!r} is not a display type known here")
        display_type = ""
    use = LayerUse(
        folder=settings.text("name"),
        label=options.text("displayName") or settings.text("trait"),
        style=style,
        unique=not (options.flag("bypassDNA") or settings.flag("bypassDNA")),
        display_type=display_type,
        sublayers=tuple(_sublayers(settings.object("sublayerOptions"))),
        place=settings.place,
    )
    options.finish()
    settings.finish()
    return use


def _sublayers(settings: Settings) -> list[tuple[str, Sublayer]]:
    found: list[tuple[str, Sublayer]] = []
    for name in settings.keys:
        own = settings.object(name)
        style = _style(own, Style())
        sublayer = Sublayer(
            trait=own.text("trait"),
            blend=style.blend if own.has("blend") else None,
            opacity=style.opacity if own.has("opacity") else None,
        )
        own.finish()
        found.append((name, sublayer))
    return found


def _style(settings: Settings, inherited: Style) -> Style:
    style = inherited
    mode = settings.text("blend")
    if mode:
        style = replace(style, blend=blend_mode(mode, settings, key="blend"))
    opacity = settings.number("opacity")
    if opacity is not None and not 0 <= opacity <= 1:
        settings.note("opacity", f"must be from 0 to 1, not {opacity}; 1 is used")
    elif opacity is not None:
        style = replace(style, opacity=float(opacity))
    return style

"""``pattern.generate``: seeded geometric patterns; the drawn ones are here, the computed ones beside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cauldron.adapters.local import fields, output, palettes
from cauldron.adapters.local.chance import Chance
from cauldron.adapters.local.motif import Motif
from cauldron.adapters.local.png import Pixels
from cauldron.adapters.local.tilings import bauhaus, hexagons, truchet, waves
from cauldron.adapters.local.wanderings import flow, maze, stripes, terrazzo
from cauldron.ports.tools import Media, Produced

DRAWN: dict[str, Callable[[Motif], Pixels]] = {
    "truchet": truchet,
    "flow": flow,
    "voronoi": fields.voronoi,
    "moire": fields.moire,
    "maze": maze,
    "stripes": stripes,
    "hexagons": hexagons,
    "waves": waves,
    "terrazzo": terrazzo,
    "bauhaus": bauhaus,
}


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The pattern as the output ``image``."""
    colors = palettes.chosen(inputs)
    background = inputs.get("background")
    motif = Motif(
        width=inputs["width"],
        height=inputs["height"],
        cell=min(inputs["width"], inputs["height"]) / inputs["cells"],
        thickness=inputs["thickness"],
        disorder=inputs["disorder"],
        background=palettes.parse(background) if background else colors[0],
        inks=tuple(colors if background else colors[1:]),
        seed=inputs["seed"],
        chance=Chance(inputs["seed"], inputs["pattern"]),
    )
    return output.picture(DRAWN[inputs["pattern"]](motif), inputs)

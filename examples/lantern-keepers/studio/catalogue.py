"""Every picture of the collection by name: ``folder/option`` to the function that paints it."""

from collections.abc import Callable
from functools import partial

from studio import keepers, oddfolk
from studio.canvas import Canvas
from studio.collars import COLLARS
from studio.colour import Coat
from studio.eyes import EYES_BY_NAME
from studio.first import first_lantern
from studio.flames import FLAMES, shine
from studio.friends import FRIENDS
from studio.hats import HATS
from studio.lands import LANDS
from studio.lanterns import LANTERNS, hung
from studio.skies import HEAVENS, SKIES, sky
from studio.staffs import STAFFS
from studio.wear import MANTLES

Paint = Callable[[Canvas], None]
Body = Callable[[Canvas, Coat], None]

COATS: dict[str, tuple[Body, dict[str, Coat]]] = {
    "owl": (
        keepers.owl,
        {
            "tawny": Coat("#9a6b45", "#ecd8b0", "#5a3a2e"),
            "snowy": Coat("#c4c6da", "#fbf6ee", "#6d6f94"),
            "dusk": Coat("#5f5f96", "#d4c8ea", "#2f2d5c"),
        },
    ),
    "fox": (
        keepers.fox,
        {
            "red": Coat("#cf6f3c", "#f6e6cc", "#4a2638"),
            "arctic": Coat("#b9c6de", "#fdf8f0", "#5c6590"),
            "cross": Coat("#7a5872", "#f0cfa8", "#33203e"),
        },
    ),
    "bear": (
        keepers.bear,
        {
            "brown": Coat("#8a614a", "#dcb98c", "#4a3038"),
            "honey": Coat("#cf9c54", "#fbe6b8", "#7a4c2c"),
            "slate": Coat("#66789a", "#cddbe6", "#323c5c"),
        },
    ),
    "hare": (
        keepers.hare,
        {
            "grey": Coat("#a39cb4", "#f2ebf0", "#d88a98"),
            "cinnamon": Coat("#bf7f58", "#f8dfc2", "#e0988a"),
            "mint": Coat("#86b8a2", "#eefae6", "#d895a4"),
        },
    ),
    "stag": (
        keepers.stag,
        {
            "chestnut": Coat("#a06540", "#efdcbc", "#6a4438"),
            "ash": Coat("#8c8fa6", "#eef0f4", "#565a78"),
            "rosewood": Coat("#b25c80", "#fbdcdc", "#5a2850"),
        },
    ),
    "hedgehog": (
        keepers.hedgehog,
        {
            "bramble": Coat("#d0a878", "#f4e2c4", "#6a4a48"),
            "thistle": Coat("#c7a5cc", "#f6e8f4", "#6e4a94"),
            "pinecone": Coat("#c98f62", "#f7dcb4", "#3f6a56"),
        },
    ),
    "toad": (
        oddfolk.toad,
        {
            "moss": Coat("#6f9a58", "#dfe3a4", "#4d7048"),
            "lagoon": Coat("#3f93a0", "#c9efdc", "#27647a"),
            "clay": Coat("#b8735a", "#f6d8a8", "#8a4648"),
        },
    ),
    "axolotl": (
        oddfolk.axolotl,
        {
            "rose": Coat("#eba6b4", "#fbe3dc", "#c8527e"),
            "mango": Coat("#eab25c", "#fdeebc", "#d8644a"),
            "lilac": Coat("#a99be0", "#efe6fb", "#6a56c0"),
        },
    ),
    "golem": (
        oddfolk.golem,
        {
            "granite": Coat("#7f8798", "#9be8d8", "#5f8a4a"),
            "sandstone": Coat("#c29a70", "#ffd98a", "#7a8a4a"),
            "basalt": Coat("#5c5678", "#ff9f7a", "#4f8a74"),
        },
    ),
    "toadstool": (
        oddfolk.toadstool,
        {
            "scarlet": Coat("#c04a4a", "#f2e0c8", "#a03848"),
            "bluecap": Coat("#4a72b4", "#e6eaf2", "#2f4a8a"),
            "goldcap": Coat("#d69a3e", "#f6e6c6", "#a8682a"),
        },
    ),
    "wisp": (
        oddfolk.wisp,
        {
            "mist": Coat("#bcd2ee", "#eaf4ff", "#f0a8c0"),
            "peach": Coat("#f4bf9c", "#fff0e0", "#f08a7a"),
            "jade": Coat("#8fd4b4", "#e6fff0", "#f2b0a0"),
        },
    ),
}


def _flame(c: Canvas, name: str) -> None:
    colour, hot, strength, heart = FLAMES[name]
    shine(c, colour, hot=hot, strength=strength)
    hung(heart, c)


def pictures() -> dict[str, Paint]:
    """``folder/option`` -> painter, in layer order."""
    found: dict[str, Paint] = {f"sky/{name}": partial(sky, name=name) for name in SKIES}
    folders: dict[str, dict[str, Paint]] = {
        "heavens": HEAVENS,
        "land": LANDS,
        "mantle": MANTLES,
        "staff": STAFFS,
    }
    for folder, options in folders.items():
        found |= {f"{folder}/{name}": paint for name, paint in options.items()}
    for species, (body, coats) in COATS.items():
        found |= {f"keeper/{species}-{name}": partial(body, coat=coat) for name, coat in coats.items()}
    after: dict[str, dict[str, Paint]] = {
        "collar": COLLARS,
        "eyes": EYES_BY_NAME,
        "headwear": HATS,
        "friend": FRIENDS,
        "flame": {name: partial(_flame, name=name) for name in FLAMES},
        "lantern": {name: partial(hung, paint) for name, paint in LANTERNS.items()},
    }
    for folder, options in after.items():
        found |= {f"{folder}/{name}": paint for name, paint in options.items()}
    return found | {"one/the-first-lantern": first_lantern}

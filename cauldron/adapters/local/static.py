"""``static.media``: hands on one of the given files; nothing is read or stored again."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauldron.adapters.local.chance import Chance
from cauldron.ports.tools import Media, Produced


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The reference of the chosen file as the value of the output ``media``.

    Raises:
        NotFound: the file is not stored.
    """
    files, index = inputs["media"], inputs.get("index")
    if index is None:
        index = Chance(inputs["seed"], "static.media").whole(0, len(files) - 1)
    chosen = files[index % len(files)]
    media.path(chosen)
    return [
        Produced(
            port="media",
            value=dict(chosen),
            mime=chosen["mime"],
            width=chosen.get("width"),
            height=chosen.get("height"),
        )
    ]

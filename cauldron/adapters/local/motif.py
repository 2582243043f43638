"""What every pattern is drawn from."""

from collections.abc import Iterator
from dataclasses import dataclass

from cauldron.adapters.local.chance import Chance
from cauldron.adapters.local.palettes import Color
from cauldron.adapters.local.sketch import Sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Motif:
    """Measures, colours and chance of one pattern."""

    width: int  # pixels
    height: int  # pixels
    cell: float  # pixels
    thickness: float  # share of a cell
    disorder: float  # 0…1
    background: Color
    inks: tuple[Color, ...]  # dark to light, one at least
    seed: int
    chance: Chance

    def sketch(self) -> Sketch:
        """An empty drawing on the background."""
        return Sketch(self.width, self.height, self.background)

    def cells(self) -> Iterator[tuple[float, float]]:
        """Left top corners of the cells that cover the picture, centred, row by row."""
        columns, rows = self.grid()
        left = (self.width - columns * self.cell) / 2
        top = (self.height - rows * self.cell) / 2
        for row in range(rows):
            for column in range(columns):
                yield left + column * self.cell, top + row * self.cell

    def grid(self) -> tuple[int, int]:
        """Columns and rows of cells needed to cover the picture."""
        return -int(-self.width // self.cell), -int(-self.height // self.cell)


def mixed(one: Color, two: Color, share: float) -> Color:
    """``share`` of ``two`` in ``one``, for shades of a colour."""
    red, green, blue, alpha = (round(a * (1 - share) + b * share) for a, b in zip(one, two, strict=True))
    return red, green, blue, alpha

"""Whether a table of whole numbers with given sums and upper bounds exists (the transportation problem)."""

from collections import deque
from collections.abc import Sequence

Bounds = Sequence[Sequence[int]]


def largest_flow(rows: Sequence[int], columns: Sequence[int], bounds: Bounds) -> int:
    """The largest total of a table with row and column sums and cells bounded from above.

    Args:
        rows: [r] upper bounds of the row sums.
        columns: [c] upper bounds of the column sums.
        bounds: [r][c] upper bounds of the cells.

    Cost: a greedy start, then O(r·c) per augmenting path. Source: Ford and Fulkerson (1956),
    shortest paths first (Edmonds and Karp, 1972).
    """
    supply, demand = list(rows), list(columns)
    flow = [[0] * len(columns) for _ in rows]
    for i, bound in enumerate(bounds):
        for j, most in enumerate(bound):
            step = min(supply[i], demand[j], most)
            flow[i][j] = step
            supply[i] -= step
            demand[j] -= step
    while (path := _augmenting(supply, demand, flow, bounds)) is not None:
        step = min(supply[path[0][0]], demand[path[-1][1]])
        for turn, (i, j) in enumerate(path):
            step = min(step, bounds[i][j] - flow[i][j] if turn % 2 == 0 else flow[i][j])
        for turn, (i, j) in enumerate(path):
            flow[i][j] += step if turn % 2 == 0 else -step
        supply[path[0][0]] -= step
        demand[path[-1][1]] -= step
    return sum(map(sum, flow))


def _augmenting(
    supply: Sequence[int], demand: Sequence[int], flow: Bounds, bounds: Bounds
) -> list[tuple[int, int]] | None:
    """Cells of a shortest path from a row with supply left to a column with demand left."""
    came_row: dict[int, tuple[int, int] | None] = {i: None for i, left in enumerate(supply) if left > 0}
    came_column: dict[int, int] = {}
    queue = deque(came_row)
    while queue:
        i = queue.popleft()
        for j, left in enumerate(demand):
            if j in came_column or flow[i][j] >= bounds[i][j]:
                continue
            came_column[j] = i
            if left > 0:
                return _path(j, came_row, came_column)
            for k in range(len(flow)):
                if k not in came_row and flow[k][j] > 0:
                    came_row[k] = (k, j)
                    queue.append(k)
    return None


def _path(
    j: int, came_row: dict[int, tuple[int, int] | None], came_column: dict[int, int]
) -> list[tuple[int, int]]:
    cells = [(came_column[j], j)]
    while (back := came_row[cells[-1][0]]) is not None:
        cells.append(back)
        cells.append((came_column[back[1]], back[1]))
    return cells[::-1]

"""Queries of a table with indexes of every kind, whose plans are looked at on each engine."""

from cauldron.ports.storage import Compare, Index, Table

TABLE = Table(
    name="pieces",
    indexes=(
        Index(fields=("cook", "state", "number")),
        Index(fields=("cook", "-at")),
        Index(fields=("rank",), where={"status": "queued"}),
        Index(fields=("worker",), where={"status": ("running", "waiting")}),
        Index(fields=("slug",), unique=True),
        Index(fields=("tags",), multi=True),
    ),
)
BOTH, SQLITE, NONE = ("sqlite", "mongo"), ("sqlite",), ()
QUERIES = [  # filter, order, after, and the engines that must sort what they find
    ({"cook": "c"}, ("state", "number"), None, NONE),
    ({"cook": "c", "state": "ok"}, ("number",), None, NONE),
    ({"cook": "c", "state": "ok"}, ("number",), (5, "id"), NONE),
    ({"cook": "c", "state": "ok"}, ("-number",), (5, "id"), BOTH),
    ({"cook": "c", "state": ("ok", "bad")}, ("number",), None, SQLITE),
    ({"cook": "c", "state": None, "number": Compare(">", 3)}, ("number",), None, NONE),
    ({"cook": "c"}, ("-at",), None, NONE),
    ({"cook": "c"}, ("-at",), ("2026", "id"), NONE),
    ({"cook": "c"}, ("-at",), (None, "id"), NONE),
    ({"cook": "c", "at": [Compare(">", "2025"), Compare("<=", "2026")]}, ("-at",), None, NONE),
    ({"status": "queued"}, ("rank",), None, NONE),
    ({"status": "queued", "rank": Compare("<=", 7)}, ("rank",), None, NONE),
    ({"status": "running", "worker": "w"}, ("_id",), None, NONE),
    ({"status": ("waiting", "running"), "worker": ("v", "w")}, ("_id",), None, SQLITE),
    ({"slug": "s"}, ("_id",), None, SQLITE),
    ({}, ("slug",), ("s", "id"), SQLITE),
    ({"tags": "t"}, ("_id",), ("id",), NONE),
    ({"tags": ("t", "u")}, ("_id",), None, NONE),
    ({}, ("_id",), ("id",), NONE),
    ({}, ("cook", "state", "number"), ("c", None, 2.5, "id"), NONE),
    ({"_id": ("a", "b")}, ("_id",), None, NONE),
]

"""The small collections of the legacy world: spells, trait trees in every dialect, and before 2025."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from bson import Int64

Found = tuple[str, str, dict[str, Any]]
TREE = [
    {
        "name": "Background",
        "mode": "manual",
        "traits": [
            {"name": "Red", "value": "crimson backdrop", "rarity": 12},
            {"name": "Blue", "rarity": "30"},
            {"name": "None", "value": "plain", "rarity": 0},
        ],
    },
    {
        "name": "Number",
        "mode": "generated",
        "generator": {
            "type": "range",
            "start": 1,
            "end": 40,
            "step": 1,
            "zeroPad": 3,
            "uniqueAcrossCook": True,
        },
    },
]
TYPES = [
    {
        "title": "Hat",
        "traits": [{"name": "Crown", "prompt": "a golden crown", "rarity": 0.5}, {"name": "Cap"}],
    }
]
HALF = [{"title": "Place", "traits": [{"title": "Sea", "prompt": "at sea"}, "Wood|in a wood|0.2"]}]


def definitions(world: Any) -> Iterator[Found]:
    yield from _tools()
    yield from _spells(world)
    yield from _collections(world)
    yield from _early(world)
    yield "noema", "userCore", {"_id": world.oid(), "wallets": [{"privateKey": world.secret()}]}


def _tools() -> Iterator[Found]:
    yield "noema", "tools", {"_id": "t1", "toolId": "dall-e", "displayName": "dalle"}


def _spells(world: Any) -> Iterator[Found]:
    for number, spell_id in enumerate(world.spell_ids):
        world.truth.spells.add(str(spell_id))
        yield (
            "noema",
            "spells",
            {
                "_id": spell_id,
                "name": f"Spell {number % 8}",
                "slug": f"spell-{number % 8}-65f1ab",
                "ownedBy": world.users[0],
                **[{"visibility": "listed"}, {"isPublic": True}, {}][number % 3],
                "steps": [
                    {
                        "id": "n1",
                        "stepId": 1,
                        "toolIdentifier": "fluxpro",
                        "displayName": "Flux",
                        "parameterMappings": {"width": {"type": "static", "value": 1024}},
                    },
                    {
                        "id": "N 2",
                        "toolId": "comfy-1",
                        "parameterOverrides": {"strength": 0.4},
                        "parameterMappings": {
                            "image": {"type": "nodeOutput", "nodeId": "n1", "outputKey": "image"}
                        },
                    },
                ],
                "connections": [
                    {"fromWindowId": "n1", "fromOutput": "image", "toWindowId": "N 2", "toInput": "image"}
                ],
                "exposedInputs": [{"nodeId": "n1", "paramKey": "prompt"}],
                "usageCount": 7,
                "pricePoints": 3,
            },
        )


def _collections(world: Any) -> Iterator[Found]:
    trees = [
        {"config": {"traitTree": TREE, "paramOverrides": {"prompt": "a fox, [[Background]] [[Nobody]]"}}},
        {"config": {"traitTypes": TYPES, "masterPrompt": "a fox with [Hat]"}},
        {"config": {"traitTree": HALF, "totalSupply": 7}, "config.paramOverrides": {"prompt": "[[Place]]"}},
        {"config": {}},
    ]
    for number, key in enumerate(world.collection_ids):
        base = {"collectionId": key, "userId": str(world.users[number % 5]), **trees[number % 4]}
        base |= {"description": "d", "totalSupply": 40} if number % 4 != 2 else {}
        base |= [
            {"toolId": "text.card", "spellId": str(world.spell_ids[0])},
            {"spellId": world.spell_ids[1]},
        ][number % 2]
        base["shareLinks"] = [{"token": world.secret(), "permissions": "view"}]
        name = f"Foxes {number % 20}"
        stamps = [dt.datetime(2025, 9, 1, tzinfo=dt.UTC), dt.datetime(2025, 10, 1, tzinfo=dt.UTC)]
        world.truth.collections[key] = f"{name} new"
        older, newer = (
            ("cook_collections", "collections") if number % 3 else ("collections", "cook_collections")
        )
        old = {**base, "_id": world.oid(), "name": name, "updatedAt": stamps[0]}
        new = {**base, "_id": world.oid(), "name": f"{name} new", "updatedAt": stamps[1]}
        if number % 2:
            world.truth.set_aside["superseded"] += 1
            yield ("station" if number % 5 == 0 else "noema"), older, old
        yield "noema", newer, new


def _early(world: Any) -> Iterator[Found]:
    """Studio, gallery and the status row of the time before 2025."""
    cooking = []
    for number in range(6):
        key = 8_123_456_789_000 + number
        world.truth.collections[str(key)] = f"Old {number}"
        yield (
            "station",
            "gallery",
            {
                "_id": world.oid(),
                "collectionId": Int64(key),
                "name": f"Old {number}",
                "userId": 123456789 + number,
                "size": 50,
                "config": {"masterPrompt": "a fox with [Hat]", "traitTypes": TYPES, "workflow": "MAKE"},
                "initiated": 1_700_000_000_000,
                "chain": "eth",
            },
        )
        for piece in range(5):
            state, word = [
                ("generated", "pending_review"),
                ("approved", "approved"),
                ("rejected", "rejected"),
                ("culled", "culled"),
                ("rejected", "pending_regeneration"),
            ][piece]
            world.truth.pieces[state] += 1
            world.truth.outputs["success"] += 1
            world.truth.cook_made[f"studio-{key}"] += 1
            one = world.oid()
            if world.detail:
                world.truth.links[str(one)] = (None, f"studio-{key}")
            yield (
                "station",
                "studio",
                {
                    "_id": one,
                    "collectionId": Int64(key),
                    "userId": 123456789 + number,
                    "status": word,
                    "files": [{"url": f"https://cdn.example.org/{key}/{piece}.png", "type": "image"}],
                    "prompt": "a fox",
                    "traits": [
                        {"type": "Hat", "value": {"name": "Crown", "prompt": "a golden crown", "rarity": 0.5}}
                    ],
                    "workflow": "MAKE",
                    "generation": {"timestamp": 1_700_000_100_000, "seed": 4, "duration": 900},
                    "version": 1,
                    "export": {"number": piece + 1},
                },
            )
        world.truth.cooks["Stopped"] += 1
        if number < 3:
            cooking.append(
                {
                    "userId": 123456789 + number,
                    "collectionId": Int64(key),
                    "status": ["active", "paused"][number % 2],
                    "generationCount": 5,
                    "targetSupply": 50,
                    "startedAt": 1_700_000_000_000,
                    "pausedAt": None,
                }
            )
    yield "station", "global_status", {"_id": world.oid(), "type": "globalStatus", "cooking": cooking}

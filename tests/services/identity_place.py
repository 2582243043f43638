"""A place with users for tests: identity on a real engine, a clock that is told the time, cheap hashes."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from cauldron.adapters.passwords import Argon2Passwords
from cauldron.domain.identity import ROLES, Principal
from cauldron.services.identity import TABLES, Identity
from tests.kitchen import SteppingClock

PASSWORD = "correct horse battery"
OTHER = "staple of another horse"
DAY_MS = 86_400_000
_numbers = itertools.count(1)


def new_id() -> str:
    """Ids that sort by age, as those of a studio do."""
    return f"{next(_numbers):032x}"


class CountedPasswords(Argon2Passwords):
    """Argon2id at its cheapest, counting what it was asked for."""

    def __init__(self) -> None:
        super().__init__(memory_kib=8, passes=1)
        self.hashed = self.checked = 0

    async def hash(self, password: str) -> str:
        self.hashed += 1
        return await super().hash(password)

    async def matches(self, password: str, kept: str | None) -> bool:
        self.checked += 1
        return await super().matches(password, kept)


@dataclass
class Place:
    """Identity as seen by one process; ``another`` gives that of a second one."""

    engine: Any
    run: Any
    clock: SteppingClock = field(default_factory=SteppingClock)

    def __post_init__(self) -> None:
        self.store = self.run(self.engine.open(*TABLES))
        self.passwords = CountedPasswords()
        self.identity = self.over(self.store)

    def over(self, store: Any) -> Identity:
        return Identity(
            store=store, passwords=self.passwords, clock=self.clock, new_id=new_id, account="studio"
        )

    def another(self) -> Identity:
        return self.over(self.run(self.engine.open(*TABLES)))

    def owner(self, name: str = "ann") -> Any:
        return self.run(self.identity.users.set_up(name, PASSWORD))

    def add(self, name: str, role: Any = "creator", **more: Any) -> Any:
        return self.run(self.identity.users.add(name, role=role, actor="test", password=PASSWORD, **more))

    def session(self, name: str, password: str = PASSWORD, *, address: str = "192.0.2.1") -> Any:
        return self.run(self.identity.sessions.sign_in(name, password, address=address))[1]

    def who(self, token: Any) -> Principal | None:
        return self.run(self.identity.authenticator.session(token.text))

    def key(self, user: Any, **more: Any) -> tuple[Any, str]:
        return self.run(self.identity.keys.create(acting(user), **{"label": "k"} | more))

    def everything(self) -> list[Any]:
        return [doc for table in TABLES for doc in self.run(self.store.find(table.name, {}))]


def acting(user: Any) -> Principal:
    """A user with all that the role has, signed in."""
    return Principal(account=user["account"], user=user["_id"], scopes=ROLES[user["role"]], via="session")

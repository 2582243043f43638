"""Identity: who may use this place, and what they show to prove it."""

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from cauldron.domain.errors import Refused
from cauldron.ports.passwords import Passwords
from cauldron.ports.storage import Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.identity_invitations import Invitations
from cauldron.services.identity_keys import Keys
from cauldron.services.identity_proofs import Authenticator
from cauldron.services.identity_records import TABLES, Register
from cauldron.services.identity_sessions import Sessions
from cauldron.services.identity_throttle import Throttle
from cauldron.services.identity_users import Users

__all__ = ["TABLES", "Identity", "is_loopback"]


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address leads to this machine only; names but ``localhost`` count as outside."""
    text = host.strip("[]").lower()
    if text == "localhost":
        return True
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@dataclass(slots=True, kw_only=True)
class Identity:
    """Everything about users, keys and sessions, over one register."""

    store: Store
    passwords: Passwords
    clock: Clock
    new_id: NewId
    account: str  # that local commands act for; the first owner works on it
    environment: str = "live"
    register: Register = field(init=False)
    throttle: Throttle = field(init=False)
    sessions: Sessions = field(init=False)
    users: Users = field(init=False)
    keys: Keys = field(init=False)
    invitations: Invitations = field(init=False)
    authenticator: Authenticator = field(init=False)

    def __post_init__(self) -> None:
        self.register = Register(
            store=self.store,
            passwords=self.passwords,
            clock=self.clock,
            new_id=self.new_id,
            account=self.account,
            environment=self.environment,
        )
        self.throttle = Throttle(self.clock)
        self.sessions = Sessions(self.register, self.throttle)
        self.users = Users(self.register, self.sessions)
        self.keys = Keys(self.register)
        self.invitations = Invitations(self.register, self.throttle, self.users)
        self.authenticator = Authenticator(self.register)

    async def check_exposure(self, host: str) -> None:
        """Call it before a server listens on ``host``.

        Raises:
            Refused: others could reach the server, and nobody has been set up yet.
        """
        if is_loopback(host):
            return
        self.authenticator.local_allowed = False
        if await self.authenticator.is_ownerless():
            raise Refused(
                f"listening on {host} lets others in, and there is no owner yet: "
                "run `cauldron user add NAME --owner` first, or listen on 127.0.0.1",
                host=host,
            )

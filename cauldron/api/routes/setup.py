"""Setting up the first owner, once, from this machine."""

from fastapi import APIRouter, Request, Response

from cauldron.api.access import TheStudio
from cauldron.api.routes.identity_bodies import Me, SignIn
from cauldron.api.routes.sessions import signed_in
from cauldron.domain.errors import Refused
from cauldron.domain.identity import Forbidden, Principal
from cauldron.services.identity_users import OWNED

router = APIRouter(prefix="/api/v1", tags=["identity"])


@router.post("/setup", status_code=201, summary="Set up the first owner")
async def set_up(body: SignIn, request: Request, response: Response, studio: TheStudio) -> Me:
    """Makes the owner and signs them in; refused once there is one, and from any other machine.

    From then on every request needs a session or a key.
    """
    identity = studio.identity
    if not await identity.authenticator.is_ownerless():
        raise Refused(OWNED)
    _check_local(request)
    user = await identity.users.set_up(body.name, body.password)
    return signed_in(user, await identity.sessions.start(user), request, response)


def _check_local(request: Request) -> None:
    found = request.scope.get("state", {}).get("principal")
    if not isinstance(found, Principal) or found.via != "local":
        raise Forbidden("the owner is set up from the machine itself: `cauldron user add NAME --owner`")

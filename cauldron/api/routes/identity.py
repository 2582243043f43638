"""Users, API keys and invitations."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from cauldron.api import cookies
from cauldron.api.access import Admin, Editor, TheStudio
from cauldron.api.routes.identity_bodies import (
    Acceptance,
    Invitation,
    InvitationList,
    InvitationMade,
    Key,
    KeyList,
    KeyMade,
    Me,
    NewInvitation,
    NewKey,
    User,
    UserChange,
    Users,
)
from cauldron.api.routes.sessions import SECRET, SignedIn, address_of, brought, settle_in, signed_in
from cauldron.api.shapes import (
    MAX_PAGE,
    PreconditionFailed,
    decode_cursor,
    encode_cursor,
    etag,
    expected_version,
)
from cauldron.domain.errors import Invalid
from cauldron.services.identity_invitations import invitation_view
from cauldron.services.identity_keys import key_view
from cauldron.services.identity_users import user_view

router = APIRouter(prefix="/api/v1", tags=["identity"])
UserId = Annotated[str | None, Query(alias="userId", max_length=64, description="Somebody else: admin only.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=512)]


@router.get("/keys", summary="List my API keys")
async def keys(studio: TheStudio, who: SignedIn, user_id: UserId = None) -> KeyList:
    """Every key of yours, revoked ones included; never the key itself."""
    if user_id is not None and user_id != who.user:
        who.need("admin")
        await studio.identity.register.user(user_id)
    found = await studio.identity.keys.of(user_id or who.user)
    return KeyList(items=[Key(**key_view(doc)) for doc in found])


@router.post("/keys", status_code=201, summary="Make an API key")
async def make_key(body: NewKey, response: Response, studio: TheStudio, who: SignedIn) -> KeyMade:
    """Answers with the key, this once. Send it as `Authorization: Bearer ck_…`."""
    doc, key = await studio.identity.keys.create(
        who,
        label=body.label,
        scopes=body.scopes,
        expires_in_ms=None if body.expires_in_s is None else body.expires_in_s * 1000,
        user_id=body.user_id,
    )
    response.headers.update(SECRET)
    return KeyMade(**key_view(doc), key=key)


@router.delete("/keys/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke_key(key_id: str, studio: TheStudio, who: SignedIn) -> None:
    """Makes a key worthless, at once. Again is no error."""
    await studio.identity.keys.revoke(who, key_id)


@router.get("/users", summary="List users")
async def users(studio: TheStudio, who: Admin, limit: Limit = 50, cursor: Cursor = None) -> Users:
    """Everybody who may use this place, oldest first."""
    after = decode_cursor(cursor, fields=1)[0] if cursor else None
    if after is not None and not isinstance(after, str):
        raise Invalid("cursor: not one of ours")
    found = await studio.identity.users.page(limit=limit + 1, after=after)
    more = len(found) > limit
    items = [User(**user_view(doc)) for doc in found[:limit]]
    return Users(items=items, next=encode_cursor([found[limit - 1]["_id"]]) if more else None)


@router.get("/users/{user_id}", summary="Look at a user")
async def user(user_id: str, response: Response, studio: TheStudio, who: Admin) -> User:
    """A user, with the ETag that a change needs."""
    doc = await studio.identity.register.user(user_id)
    response.headers["etag"] = etag(doc["_v"])
    return User(**user_view(doc))


@router.patch("/users/{user_id}", summary="Change a user's role, or shut them out")
async def change_user(
    *, user_id: str, body: UserChange, request: Request, response: Response, studio: TheStudio, who: Admin
) -> User:
    """Needs `If-Match`. Who is shut out loses every session, and their keys are worth nothing."""
    doc = await studio.identity.register.user(user_id)
    if expected_version(request) != doc["_v"]:
        raise PreconditionFailed("the user changed meanwhile: look again")
    who.need_grant()
    changed = await studio.identity.users.change(doc, actor=who.user, role=body.role, disabled=body.disabled)
    response.headers["etag"] = etag(changed["_v"])
    return User(**user_view(changed))


@router.get("/invitations", summary="List invitations")
async def invitations(studio: TheStudio, who: Editor) -> InvitationList:
    """Invitations of your account; never their tokens."""
    found = await studio.identity.invitations.of(who.account)
    return InvitationList(items=[Invitation(**invitation_view(doc)) for doc in found])


@router.post("/invitations", status_code=201, summary="Invite somebody")
async def invite(body: NewInvitation, response: Response, studio: TheStudio, who: Editor) -> InvitationMade:
    """Answers with the token, this once: hand it over. It makes one person a user, once."""
    doc, token = await studio.identity.invitations.create(
        who,
        role=body.role,
        own_account=body.own_account,
        label=body.label,
        expires_in_ms=body.expires_in_s * 1000,
    )
    response.headers.update(SECRET)
    return InvitationMade(**invitation_view(doc), token=token)


@router.delete("/invitations/{invitation_id}", status_code=204, summary="Withdraw an invitation")
async def withdraw(invitation_id: str, studio: TheStudio, who: Editor) -> None:
    """Makes an invitation worthless."""
    await studio.identity.invitations.withdraw(who, invitation_id)


@router.post("/invitations/accept", status_code=201, summary="Accept an invitation")
async def accept(body: Acceptance, request: Request, response: Response, studio: TheStudio) -> Me:
    """Makes you a user and signs you in; what you have here as a guest comes along."""
    cookies.check_transport(request.scope, request.headers)
    session, guest = brought(request, keep=body.keep_guest)
    user = await studio.identity.invitations.accept(
        body.token, name=body.name, password=body.password, address=address_of(request)
    )
    token = await studio.identity.sessions.start(user, replacing=session, guest=guest)
    await settle_in(studio, guest)
    return signed_in(user, token, request, response)

"""Bodies and answers of the routes about users, keys, sessions and invitations."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from cauldron.api.shapes import Answer, Body
from cauldron.domain.credentials import TOKEN_LENGTH
from cauldron.domain.identity import MAX_LABEL, MAX_NAME, MAX_PASSWORD_BYTES, SCOPES, Scope

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="Name or e-mail address.")]
Password = Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD_BYTES)]
KeepGuest = Annotated[
    bool, Field(description="Whether what this browser's guest has here comes along; else it is given up.")
]
Label = Annotated[str, Field(max_length=MAX_LABEL, description="What it is for, for people.")]
EXAMPLE_TOKEN = f"ci_{'0' * 32}_{'x' * 43}"
RoleName = Literal["owner", "creator", "reviewer", "operator", "service"]


def example(values: dict[str, Any]) -> ConfigDict:
    """An example for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class SignIn(Body):
    """Name and password."""

    model_config = example({"name": "ann@studio.example", "password": "a long pass phrase"})

    name: Name
    password: Password


class Entry(SignIn):
    """Name and password, perhaps of somebody who was a guest."""

    keep_guest: KeepGuest = True


class NewPassword(Body):
    """A change of one's own password."""

    model_config = example({"current": "a long pass phrase", "new": "an even longer pass phrase"})

    current: Password
    new: Password


class NewKey(Body):
    """A key to make."""

    model_config = example({"label": "nightly exports", "scopes": ["read", "export"]})

    label: Label
    scopes: Annotated[
        list[Scope] | None, Field(max_length=len(SCOPES), description="Absent: all that you have.")
    ] = None
    expires_in_s: Annotated[
        int | None, Field(ge=1, le=316_224_000, description="Seconds until it expires; absent: never.")
    ] = None
    user_id: Annotated[
        str | None, Field(min_length=1, max_length=64, description="A service; absent: yourself.")
    ] = None


class NewInvitation(Body):
    """Whom to invite."""

    model_config = example({"role": "reviewer", "label": "for Bo"})

    role: Literal["creator", "reviewer", "operator"]
    own_account: Annotated[
        bool, Field(description="They get an account of their own instead of joining yours.")
    ] = False
    label: Label = ""
    expires_in_s: Annotated[int, Field(ge=1, le=2_592_000)] = 604_800


class Acceptance(Body):
    """Becoming a user by an invitation."""

    model_config = example(
        {"token": EXAMPLE_TOKEN, "name": "bo@studio.example", "password": "a long pass phrase"}
    )

    token: Annotated[str, Field(min_length=TOKEN_LENGTH, max_length=TOKEN_LENGTH)]
    name: Name
    password: Password
    keep_guest: KeepGuest = True


class UserChange(Body):
    """What to change of a user; what is absent stays."""

    model_config = example({"role": "reviewer"})

    role: RoleName | None = None
    disabled: bool | None = None


class User(Answer):
    """A user."""

    id: str
    name: str
    role: RoleName
    account: str
    disabled: bool
    has_password: bool
    created_at: str
    updated_at: str


class Users(Answer):
    """A page of users."""

    items: list[User]
    next: str | None


class Me(Answer):
    """Who makes the request, and what they may do."""

    id: str
    name: str
    role: RoleName | Literal["guest"]
    account: str
    scopes: list[Scope]
    via: Literal["local", "session", "key", "invoice"]
    csrf_token: Annotated[str | None, Field(description="For the header X-CSRF-Token; sessions only.")] = None


class Key(Answer):
    """A key, without the key itself."""

    id: str
    label: str
    user_id: str
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class KeyMade(Key):
    """A key just made: the one time that it is shown."""

    key: str


class KeyList(Answer):
    """Every key of a user."""

    items: list[Key]


class Invitation(Answer):
    """An invitation, without its token."""

    id: str
    role: RoleName
    own_account: bool
    label: str
    created_at: str
    expires_at: str
    used_at: str | None
    used_by: str | None


class InvitationMade(Invitation):
    """An invitation just made: the one time that its token is shown."""

    token: str


class InvitationList(Answer):
    """Every invitation of an account."""

    items: list[Invitation]

"""What `auth` answers: accounts and their users, API keys, and whether a key is good."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from shared.contracts.accounts import Limits
from shared.contracts.call import AUTH, EDGE, OPERATOR, Call, Empty, Event
from shared.trail import ActionKind, SecretText

AccountStatus = Literal["active", "suspended"]
Role = Literal["admin", "member"]
KeyState = Literal["active", "expired", "revoked"]


class Verify(msgspec.Struct, frozen=True, kw_only=True):
    """Is this key good? The secret itself stays at the edge: only its SHA-256 travels."""

    key_id: str
    secret_sha256: bytes


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key it is and what it may do. Empty lists allow everything. `expires_unix` is in seconds."""

    account_id: str
    key_id: str
    version: int
    expires_unix: float | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One paying account. People belong to it as users; keys spend its balance."""

    id: str
    name: str
    status: AccountStatus
    created_unix: float


class CreateAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Make an account with a balance of zero."""

    name: str


class SetAccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Suspend or reactivate an account; billing holds the change when the answer comes."""

    account_id: str
    status: AccountStatus


class ListAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """List accounts, oldest first."""

    limit: int = 1000


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts asked for."""

    items: tuple[Account, ...]


class FindAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """Find accounts, newest first, from below the id `before_id` on.

    `search` is a part of a name or of the address of somebody who belongs to it, in any case; or the id of an account or a person,
    or a whole address, and then only that one is found. With `account_ids` only those are looked at.
    """

    search: str | None = None
    status: AccountStatus | None = None
    account_ids: tuple[str, ...] | None = None
    before_id: str | None = None
    limit: int = 50


class FoundAccount(Account, frozen=True, kw_only=True):
    """An account, and how many of its keys are not revoked."""

    keys: int


class FoundAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts that were found; `has_more` when the list goes on."""

    items: tuple[FoundAccount, ...]
    has_more: bool


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One person."""

    id: str
    account_id: str
    email: str
    role: Role
    created_unix: float


class CreateUser(msgspec.Struct, frozen=True, kw_only=True):
    """Make a person who can sign in; without `account_id` an account of the same name is made as well."""

    email: str
    password: SecretText
    role: Role = "member"
    account_id: str | None = None


class ListPeople(msgspec.Struct, frozen=True, kw_only=True):
    """Who belongs to an account, oldest first, at most a hundred of them?"""

    account_id: str


class PersonSheet(User, frozen=True, kw_only=True):
    """One person as an operator sees them. `seen_unix` is when a session of theirs was last used."""

    is_confirmed: bool
    has_second_factor: bool
    seen_unix: float | None = None


class PersonSheets(msgspec.Struct, frozen=True, kw_only=True):
    """The people asked for."""

    items: tuple[PersonSheet, ...]


class SetRole(msgspec.Struct, frozen=True, kw_only=True):
    """Make a person an operator, or no more; one operator is always left."""

    user_id: str
    role: Role


class ListUsers(msgspec.Struct, frozen=True, kw_only=True):
    """List people, oldest first; those of one account if it is named."""

    account_id: str | None = None
    limit: int = 1000


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """The people asked for."""

    items: tuple[User, ...]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One API key as it may be shown: everything but its secret. `last_used_unix` is true to about a minute."""

    id: str
    account_id: str
    name: str
    version: int
    created_unix: float
    expires_unix: float | None = None
    revoked_unix: float | None = None
    last_used_unix: float | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()


class CreateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Make a key for an account, with limits if they are given: billing holds them before anybody has the key.

    It ends after `lifetime_seconds` or at `expires_unix`; with neither it does not expire.
    """

    account_id: str
    name: str
    lifetime_seconds: float | None = None
    expires_unix: float | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()
    limits: Limits | None = None


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key. `secret` is the whole `sk-relay-…` text, shown here and never again."""

    key: Key
    secret: str


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True):
    """End a key for good; when the answer comes, billing refuses it. With `account_id` only a key of that account."""

    key_id: str
    account_id: str | None = None


class GetKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of this id, if it is one of the account."""

    account_id: str
    key_id: str


class SearchKeys(msgspec.Struct, frozen=True, kw_only=True):
    """List an account's keys, newest first, after `cursor`. `search` is a part of a name, in any case of letters."""

    account_id: str
    search: str | None = None
    state: KeyState | None = None
    cursor: str | None = None
    limit: int = 50


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of keys; `next_cursor` asks for the one after it, None when there is none."""

    items: tuple[Key, ...]
    next_cursor: str | None


class UpdateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Change what is given of a key; `expires_unix` None makes it last, `limits` replaces all that it had."""

    account_id: str
    key_id: str
    name: str | UnsetType = UNSET
    expires_unix: float | UnsetType | None = UNSET
    allowed_models: tuple[str, ...] | UnsetType = UNSET
    allowed_addresses: tuple[str, ...] | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET


class RotateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Make a key with the name, rights, limits and end of this one, and revoke this one: both happen, or neither."""

    account_id: str
    key_id: str


class GetPlaygroundKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key that the playground of an account spends with: made when first asked for, and of a secret that nobody knows."""

    account_id: str


class ListKeys(msgspec.Struct, frozen=True, kw_only=True):
    """List keys, oldest first; those of one account if it is named."""

    account_id: str | None = None
    limit: int = 1000


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys asked for."""

    items: tuple[Key, ...]


class GetNames(msgspec.Struct, frozen=True, kw_only=True):
    """What are these accounts and keys called? At most 1000 of each; with `account_id` only keys of that account are told."""

    account_ids: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    account_id: str | None = None


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names by id; what does not exist is left out."""

    accounts: dict[str, str]
    keys: dict[str, str]


class KeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A key was revoked or its rights changed; what is cached of an older version is wrong."""

    key_id: str
    version: int


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An account was suspended or reactivated."""

    account_id: str


VERIFY = Call("auth.verify", Verify, Principal, owner=AUTH, callers=(EDGE,), timeout_seconds=2.0)
CREATE_ACCOUNT = Call(
    "auth.account.create", CreateAccount, Account, owner=AUTH, callers=(OPERATOR,),
    action=ActionKind("make_account", "account {name}"),
)  # fmt: skip
SET_ACCOUNT_STATUS = Call(
    "auth.account.set_status", SetAccountStatus, Empty, owner=AUTH, callers=(EDGE, OPERATOR),
    action=ActionKind("set_account_status", "account {account_id}"),
)  # fmt: skip
FIND_ACCOUNTS = Call("auth.account.find", FindAccounts, FoundAccounts, owner=AUTH, callers=(EDGE,))
LIST_ACCOUNTS = Call("auth.account.list", ListAccounts, Accounts, owner=AUTH, callers=(OPERATOR,))
CREATE_USER = Call(
    "auth.user.create", CreateUser, User, owner=AUTH, callers=(EDGE, OPERATOR),
    action=ActionKind("make_person", "person {email}"),
)  # fmt: skip
LIST_PEOPLE = Call("auth.person.list", ListPeople, PersonSheets, owner=AUTH, callers=(EDGE,))
SET_ROLE = Call(
    "auth.user.role.set", SetRole, User, owner=AUTH, callers=(EDGE,),
    action=ActionKind("set_role", "person {user_id}"),
)  # fmt: skip
LIST_USERS = Call("auth.user.list", ListUsers, Users, owner=AUTH, callers=(OPERATOR,))
CREATE_KEY = Call(
    "auth.key.create", CreateKey, CreatedKey, owner=AUTH, callers=(EDGE, OPERATOR),
    action=ActionKind("make_key", "account {account_id}"),
)  # fmt: skip
GET_KEY = Call("auth.key.get", GetKey, Key, owner=AUTH, callers=(EDGE,))
SEARCH_KEYS = Call("auth.key.search", SearchKeys, KeyPage, owner=AUTH, callers=(EDGE,))
UPDATE_KEY = Call("auth.key.update", UpdateKey, Key, owner=AUTH, callers=(EDGE,))
ROTATE_KEY = Call("auth.key.rotate", RotateKey, CreatedKey, owner=AUTH, callers=(EDGE,))
REVOKE_KEY = Call(
    "auth.key.revoke", RevokeKey, Key, owner=AUTH, callers=(EDGE, OPERATOR), action=ActionKind("revoke_key", "key {key_id}")
)  # fmt: skip
PLAYGROUND_KEY = Call("auth.key.playground", GetPlaygroundKey, Principal, owner=AUTH, callers=(EDGE,))
GET_NAMES = Call("auth.names", GetNames, Names, owner=AUTH, callers=(EDGE,))
LIST_KEYS = Call("auth.key.list", ListKeys, Keys, owner=AUTH, callers=(OPERATOR,))

KEY_CHANGED = Event("auth.event.key_changed", KeyChanged, owner=AUTH, listeners=(EDGE,))
ACCOUNT_CHANGED = Event("auth.event.account_changed", AccountChanged, owner=AUTH, listeners=(EDGE,))

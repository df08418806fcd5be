"""What `auth` answers: accounts and their users, API keys, and whether a key is good."""

from typing import Literal

import msgspec

from shared.contracts.call import AUTH, EDGE, OPERATOR, Call, Empty, Event

AccountStatus = Literal["active", "suspended"]
Role = Literal["admin", "member"]


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
    password: str
    role: Role = "member"
    account_id: str | None = None


class ListUsers(msgspec.Struct, frozen=True, kw_only=True):
    """List people, oldest first; those of one account if it is named."""

    account_id: str | None = None
    limit: int = 1000


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """The people asked for."""

    items: tuple[User, ...]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One API key as it may be shown: everything but its secret."""

    id: str
    account_id: str
    name: str
    version: int
    created_unix: float
    expires_unix: float | None = None
    revoked_unix: float | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()


class CreateKey(msgspec.Struct, frozen=True, kw_only=True):
    """Make a key for an account. `lifetime_seconds` None means that it does not expire."""

    account_id: str
    name: str
    lifetime_seconds: float | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The new key. `secret` is the whole `sk-relay-…` text, shown here and never again."""

    key: Key
    secret: str


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True):
    """End a key for good; when the answer comes, billing refuses it."""

    key_id: str


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
CREATE_ACCOUNT = Call("auth.account.create", CreateAccount, Account, owner=AUTH, callers=(OPERATOR,))
SET_ACCOUNT_STATUS = Call("auth.account.set_status", SetAccountStatus, Empty, owner=AUTH, callers=(OPERATOR,))
LIST_ACCOUNTS = Call("auth.account.list", ListAccounts, Accounts, owner=AUTH, callers=(OPERATOR,))
CREATE_USER = Call("auth.user.create", CreateUser, User, owner=AUTH, callers=(OPERATOR,))
LIST_USERS = Call("auth.user.list", ListUsers, Users, owner=AUTH, callers=(OPERATOR,))
CREATE_KEY = Call("auth.key.create", CreateKey, CreatedKey, owner=AUTH, callers=(OPERATOR,))
REVOKE_KEY = Call("auth.key.revoke", RevokeKey, Key, owner=AUTH, callers=(OPERATOR,))
GET_NAMES = Call("auth.names", GetNames, Names, owner=AUTH, callers=(EDGE,))
LIST_KEYS = Call("auth.key.list", ListKeys, Keys, owner=AUTH, callers=(OPERATOR,))

KEY_CHANGED = Event("auth.event.key_changed", KeyChanged, owner=AUTH, listeners=(EDGE,))
ACCOUNT_CHANGED = Event("auth.event.account_changed", AccountChanged, owner=AUTH, listeners=(EDGE,))

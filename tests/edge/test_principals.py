"""Whose key is in a request: asked of auth, and remembered for a moment."""

import asyncio
import time
import zlib

import pytest
from starlette.types import Scope

from services.edge import principals
from services.edge.principals import Principals, key_in
from shared.contracts import auth
from shared.errors import Forbidden, RelayError, Unauthenticated, Unavailable
from shared.ids import ALPHABET
from shared.keys import mint, parse
from tests.dispatcher.rig import ACCOUNT_ID, soon, until
from tests.edge.rig import Around

Headers = list[tuple[bytes, bytes]]


def bearer(key: str) -> Headers:
    """Return the headers of a request with this key."""
    return [(b"authorization", b"Bearer " + key.encode())]


def id_of(key: str) -> str:
    """Return the public id of a key."""
    parsed = parse(key)
    assert parsed is not None
    return parsed.id


def request(headers: Headers, *, peer: str = "192.0.2.1") -> Scope:
    """Return a request with these headers from `peer`."""
    return {"type": "http", "headers": headers, "client": (peer, 50_000)}


async def listening(around: Around, *, cache_seconds: float = 10.0) -> Principals:
    """Return a memory that hears of changes."""
    memory = Principals(around.bus, cache_seconds=cache_seconds)
    await memory.listen()
    await around.bus.control.flush()
    return memory


async def refusal(memory: Principals, headers: Headers) -> RelayError:
    """Return the error with which a key is refused."""
    with pytest.raises(RelayError) as caught:
        await memory.of(request(headers))
    return caught.value


async def test_a_key_is_asked_for_once(around: Around) -> None:
    """Until its time is over; only the hash of its secret travels."""
    memory, key = await listening(around), around.auth.key()

    first = await memory.of(request(bearer(key)))
    again = await memory.of(request(bearer(key)))

    assert first == again
    assert first.account_id == ACCOUNT_ID
    parsed = parse(key)
    assert parsed is not None
    assert around.auth.asked == [auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256)]


async def test_a_remembered_key_is_asked_for_again_after_its_time(around: Around) -> None:
    """And with a time of zero, each time."""
    memory, key = await listening(around, cache_seconds=0.0), around.auth.key()

    await memory.of(request(bearer(key)))
    await memory.of(request(bearer(key)))

    assert len(around.auth.asked) == 2


@pytest.mark.parametrize("scope", ["key", "account"])
async def test_a_change_drops_what_is_remembered(around: Around, scope: str) -> None:
    """At once: a key that was revoked is refused the next time, while others are still remembered."""
    memory, key, other = await listening(around), around.auth.key(), around.auth.key()
    around.auth.principals[id_of(other)] = auth.Principal(account_id="other", key_id=id_of(other), version=1)
    await memory.of(request(bearer(key)))
    await memory.of(request(bearer(other)))

    del around.auth.principals[id_of(key)]
    await tell(around, scope, id_of(key))

    await until_refused(memory, key)
    asked = len(around.auth.asked)
    await memory.of(request(bearer(other)))
    assert len(around.auth.asked) == asked


@pytest.mark.parametrize("scope", ["key", "account"])
async def test_an_answer_that_is_older_than_a_change_is_not_remembered(around: Around, scope: str) -> None:
    """Auth has said yes, then the key is revoked, and the event comes before the answer: the yes counts once at most."""
    memory, key = await listening(around), around.auth.key()
    around.auth.may_answer.clear()
    asking = asyncio.create_task(memory.of(request(bearer(key))))
    await until(lambda: around.auth.asked)
    del around.auth.principals[id_of(key)]
    await tell(around, scope, id_of(key))
    around.auth.may_answer.set()
    await soon(asking)

    assert (await refusal(memory, bearer(key))).code == "invalid_api_key"


async def test_a_refusal_is_remembered_for_a_moment(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each caller gets an error of its own, or the frames of all of them would stay alive with it."""
    memory, key = await listening(around), mint()

    errors = [await refusal(memory, bearer(key)) for _ in range(3)]

    assert {error.code for error in errors} == {"invalid_api_key"}
    assert len({id(error) for error in errors}) == 3
    assert len(around.auth.asked) == 1
    monkeypatch.setattr(principals, "REFUSAL_SECONDS", 0.0)
    other = mint()
    await refusal(memory, bearer(other))
    await refusal(memory, bearer(other))
    assert len(around.auth.asked) == 3


async def test_a_key_that_is_made_after_its_refusal_is_good_at_once(around: Around) -> None:
    """Its event drops the refusal."""
    memory, key = await listening(around), mint()
    await refusal(memory, bearer(key))

    around.auth.principals[id_of(key)] = auth.Principal(account_id=ACCOUNT_ID, key_id=id_of(key), version=1)
    await tell(around, "key", id_of(key))

    await until_good(memory, key)


@pytest.mark.parametrize("is_good", [True, False])
async def test_what_is_remembered_is_bounded(
    around: Around, monkeypatch: pytest.MonkeyPatch, is_good: bool
) -> None:
    """The oldest goes first: an attacker who tries keys fills no memory."""
    monkeypatch.setattr(principals, "ENTRIES_MAX", 3)
    monkeypatch.setattr(principals, "REFUSALS_MAX", 3)
    memory = await listening(around)
    keys = [around.auth.key() if is_good else mint() for _ in range(5)]
    for key in keys:
        await asyncio.gather(memory.of(request(bearer(key))), return_exceptions=True)

    for key in (keys[4], keys[3], keys[2], keys[0]):
        await asyncio.gather(memory.of(request(bearer(key))), return_exceptions=True)

    assert [ask.key_id for ask in around.auth.asked] == [id_of(key) for key in [*keys, keys[0]]]


async def test_another_secret_with_a_known_id_is_asked_for(around: Around) -> None:
    """A memory by id alone would let it in."""
    memory, key = await listening(around), around.auth.key()
    await memory.of(request(bearer(key)))

    await memory.of(request(bearer(with_another_secret(key))))

    first, second = around.auth.asked
    assert first.key_id == second.key_id
    assert first.secret_sha256 != second.secret_sha256


async def test_a_key_ends_in_the_memory_too(around: Around) -> None:
    """At its own time, though the entry is younger."""
    memory, key = await listening(around), around.auth.key(expires_unix=time.time() + 0.3)

    await memory.of(request(bearer(key)))

    await until_refused(memory, key)
    assert (await refusal(memory, bearer(key))).code == "expired_api_key"
    assert len(around.auth.asked) == 1


async def test_a_suspended_account_is_asked_for_each_time(around: Around) -> None:
    """It may be reactivated at any moment."""
    memory, key = await listening(around), mint()
    around.auth.refusal = Forbidden("account_suspended")

    for _ in range(2):
        assert (await refusal(memory, bearer(key))).code == "account_suspended"

    assert len(around.auth.asked) == 2


async def test_without_auth_nobody_is_let_in(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that are remembered; silence is no refusal, and is not remembered as one."""
    monkeypatch.setattr(auth.VERIFY, "timeout_seconds", 0.1)
    memory, known, new = await listening(around), around.auth.key(), around.auth.key()
    await memory.of(request(bearer(known)))
    around.auth.may_answer.clear()

    await memory.of(request(bearer(known)))
    assert isinstance(await refusal(memory, bearer(new)), Unavailable)
    around.auth.may_answer.set()
    await memory.of(request(bearer(new)))


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer KEY")],
        [(b"authorization", b"bearer   KEY  ")],
        [(b"x-api-key", b"KEY")],
        [(b"api-key", b" KEY ")],
        [(b"x-api-key", b"sk-other"), (b"authorization", b"Bearer KEY")],
        [(b"authorization", b"Basic dXNlcg=="), (b"x-api-key", b"KEY")],
        [(b"x-api-key", b"KEY"), (b"api-key", b"sk-other")],
    ],
)
def test_a_key_is_found_where_clients_put_it(headers: Headers) -> None:
    """`Authorization: Bearer` before `x-api-key` and `api-key`."""
    key = mint()
    given = [(name, value.replace(b"KEY", key.encode())) for name, value in headers]

    assert key_in(given) == parse(key)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([(b"authorization", b"")], "missing_api_key"),
        ([(b"authorization", b"Bearer")], "missing_api_key"),
        ([(b"authorization", b"Bearer  ")], "missing_api_key"),
        ([(b"authorization", b"Basic dXNlcg==")], "missing_api_key"),
        ([(b"authorization", b"Bearer sk-proj-abcdef")], "invalid_api_key"),
        ([(b"x-api-key", b"\xff\xfe\x00")], "invalid_api_key"),
        ([(b"x-api-key", mint()[:-1].encode() + b"!")], "invalid_api_key"),
    ],
)
def test_what_is_no_key_is_refused_without_asking(headers: Headers, code: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(Unauthenticated) as caught:
        key_in(headers)

    assert caught.value.code == code


def with_another_secret(key: str) -> str:
    """Return a well-formed key with the id of `key`: anybody can compute its checksum."""
    body = key[:21] + mint()[21:-6]
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    return body + digits


async def tell(around: Around, scope: str, key_id: str) -> None:
    """Publish the event of a changed key or account."""
    bus = around.auth.bus
    if scope == "key":
        await bus.publish(auth.KEY_CHANGED, auth.KeyChanged(key_id=key_id, version=2))
    else:
        await bus.publish(auth.ACCOUNT_CHANGED, auth.AccountChanged(account_id=ACCOUNT_ID))
    await bus.control.flush()


async def until_refused(memory: Principals, key: str) -> None:
    """Return when the key is refused."""
    await _until(memory, key, is_good=False)


async def until_good(memory: Principals, key: str) -> None:
    """Return when the key is good."""
    await _until(memory, key, is_good=True)


async def _until(memory: Principals, key: str, *, is_good: bool) -> None:
    async def look() -> None:
        while True:
            try:
                await memory.of(request(bearer(key)))
            except Unauthenticated:
                if not is_good:
                    return
            else:
                if is_good:
                    return
            await asyncio.sleep(0.01)

    await soon(look())

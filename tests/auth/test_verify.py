"""Is a key good? What the edge asks before every request."""

import asyncio
import hmac

import pytest

from services.auth import secrets
from shared import keys
from shared.contracts import auth
from shared.errors import Forbidden, RelayError, Unauthenticated
from tests.auth.conftest import World


async def test_a_good_key_names_its_account_and_rights(world: World) -> None:
    """The principal carries what the key was made with."""
    account = await world.account()
    made = await world.operator.call(
        auth.CREATE_KEY,
        auth.CreateKey(
            account_id=account.id,
            name="laptop",
            lifetime_seconds=3600.0,
            allowed_models=("gpt-4o", "o3"),
            allowed_addresses=("192.0.2.7", "2001:db8::/32"),
        ),
    )

    principal = await verify(world, made.secret)

    assert principal == auth.Principal(
        account_id=account.id,
        key_id=made.key.id,
        version=made.key.version,
        expires_unix=made.key.expires_unix,
        allowed_models=("gpt-4o", "o3"),
        allowed_addresses=("192.0.2.7/32", "2001:db8::/32"),
    )
    assert made.key.expires_unix == pytest.approx(made.key.created_unix + 3600.0)


async def test_a_key_without_limits_allows_everything_for_ever(world: World) -> None:
    """What was not asked for stays empty."""
    made = await world.key()
    principal = await verify(world, made.secret)
    assert (principal.expires_unix, principal.allowed_models, principal.allowed_addresses) == (None, (), ())


async def test_an_unknown_key_and_a_wrong_secret_are_told_apart_by_nobody(world: World) -> None:
    """Both get the same error with the same fields."""
    made = await world.key()
    wrong = auth.Verify(key_id=made.key.id, secret_sha256=bytes(32))
    unknown = auth.Verify(key_id="0" * 12, secret_sha256=bytes(32))

    errors = [await refusal(world, ask) for ask in (wrong, unknown)]

    assert [type(error) for error in errors] == [Unauthenticated, Unauthenticated]
    assert errors[0].to_body() == errors[1].to_body()
    assert errors[0].code == "invalid_api_key"


@pytest.mark.parametrize(
    "key_id", ["", "x", "0" * 13, "00000000000\x00", "' OR true --", "ключ" * 3, "0" * 9000]
)
async def test_an_id_that_no_key_can_have_is_an_invalid_key(world: World, key_id: str) -> None:
    """Whatever stands in the id, the answer is the ordinary refusal."""
    error = await refusal(world, auth.Verify(key_id=key_id, secret_sha256=bytes(32)))
    assert (type(error), error.code) == (Unauthenticated, "invalid_api_key")


@pytest.mark.parametrize("secret", [b"", b"\x00", bytes(31), bytes(4096)])
async def test_a_secret_of_another_length_is_an_invalid_key(world: World, secret: bytes) -> None:
    """The comparison takes any bytes."""
    made = await world.key()
    error = await refusal(world, auth.Verify(key_id=made.key.id, secret_sha256=secret))
    assert error.code == "invalid_api_key"


async def test_a_key_made_with_another_pepper_is_invalid(world: World) -> None:
    """A row whose pepper version is not ours matches nothing."""
    made = await world.key()
    await world.rows("UPDATE auth.api_key SET pepper_version = pepper_version + 1")
    assert (await refusal(world, _ask(made.secret))).code == "invalid_api_key"


async def test_a_revoked_key_says_so(world: World) -> None:
    """Only the owner of the secret learns it."""
    made = await world.key()
    await world.operator.call(auth.REVOKE_KEY, auth.RevokeKey(key_id=made.key.id))

    assert (await refusal(world, _ask(made.secret))).code == "revoked_api_key"
    stranger = auth.Verify(key_id=made.key.id, secret_sha256=bytes(32))
    assert (await refusal(world, stranger)).code == "invalid_api_key"


async def test_an_expired_key_says_so(world: World) -> None:
    """PostgreSQL's clock decides."""
    made = await world.key()
    await world.rows("UPDATE auth.api_key SET expires_at = now()")
    assert (await refusal(world, _ask(made.secret))).code == "expired_api_key"


async def test_a_key_of_a_suspended_account_is_forbidden_until_it_is_reactivated(world: World) -> None:
    """Suspension is a 403, and not for good."""
    made = await world.key()
    account_id = made.key.account_id
    await world.operator.call(
        auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=account_id, status="suspended")
    )

    error = await refusal(world, _ask(made.secret))

    assert (type(error), error.code) == (Forbidden, "account_suspended")
    await world.operator.call(
        auth.SET_ACCOUNT_STATUS, auth.SetAccountStatus(account_id=account_id, status="active")
    )
    assert (await verify(world, made.secret)).key_id == made.key.id


async def test_an_error_on_the_way_lets_nobody_in(world: World) -> None:
    """A good key is refused while its table cannot be read."""
    made = await world.key()
    await world.rows("ALTER TABLE auth.api_key RENAME TO elsewhere")
    assert (await refusal(world, _ask(made.secret))).code == "internal_error"


async def test_many_at_once_are_all_answered(world: World) -> None:
    """More calls than connections wait for their turn."""
    made = await world.key()
    answers = await asyncio.gather(*(verify(world, made.secret) for _ in range(100)))
    assert {principal.key_id for principal in answers} == {made.key.id}


def test_every_refusal_compares_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown key, other pepper and wrong secret run the same steps: one HMAC, one constant-time comparison of 32 bytes."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watch(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watch)
    pepper = secrets.Pepper(bytes(32))
    stored = pepper.store(b"right")
    other = secrets.StoredSecret(hmac=stored.hmac, pepper_version=2)

    answers = [pepper.is_match(b"wrong", each) for each in (None, other, stored)]

    assert answers == [False, False, False]
    assert compared == [(32, 32)] * 3


async def verify(world: World, text: str) -> auth.Principal:
    """Ask as the edge does."""
    return await world.edge.call(auth.VERIFY, _ask(text))


async def refusal(world: World, ask: auth.Verify) -> RelayError:
    """Return the error that the question gets."""
    with pytest.raises(RelayError) as caught:
        await world.edge.call(auth.VERIFY, ask)
    return caught.value


def _ask(text: str) -> auth.Verify:
    parsed = keys.parse(text)
    assert parsed is not None
    return auth.Verify(key_id=parsed.id, secret_sha256=parsed.secret_sha256)

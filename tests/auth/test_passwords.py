"""Passwords as hashes, and how many are at work."""

import asyncio

import argon2
import pytest

from services.auth.passwords import WAITING_MAX, Passwords, is_common
from shared.errors import Unavailable


async def test_a_password_hash_is_argon2id_with_its_own_salt() -> None:
    """Two people with one password do not show it."""
    with Passwords(2) as passwords:
        first, second = await asyncio.gather(passwords.hash("correct horse"), passwords.hash("correct horse"))
        assert first != second
        assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert argon2.PasswordHasher().verify(first, "correct horse")
        assert await passwords.is_match("correct horse", first)
        assert not await passwords.is_match("correct horsf", first)
        assert not passwords.is_outdated(first)


async def test_nobodys_password_matches_nothing() -> None:
    """There is a hash to compare with, and no password for it."""
    with Passwords(1) as passwords:
        assert not await passwords.is_match("", None)


async def test_a_crowd_is_told_to_come_again() -> None:
    """Beyond a bound; whoever is taken in is served, and then there is room again."""
    with Passwords(1) as passwords:
        weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
        outcomes = await asyncio.gather(
            *(passwords.is_match("x", weak) for _ in range(WAITING_MAX + 11)), return_exceptions=True
        )
        assert [outcome for outcome in outcomes if outcome is True] == [True] * (WAITING_MAX + 1)
        refused = [outcome for outcome in outcomes if outcome is not True]
        assert len(refused) == 10
        assert all(isinstance(each, Unavailable) and each.code == "overloaded" for each in refused)
        assert passwords.running == 0
        assert await passwords.is_match("x", weak)


async def test_who_leaves_frees_no_thread() -> None:
    """The work goes on, so it is counted until it is done."""
    with Passwords(1) as passwords:
        task = asyncio.create_task(passwords.hash("correct horse"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert passwords.running == 1
        assert await passwords.hash("correct horse")
        assert passwords.running == 0


@pytest.mark.parametrize("password", ["password", "PASSWORD1", " 12345678 ", "iloveyou1"])
def test_what_leaks_most_often_is_known(password: str) -> None:
    """In any case of letters."""
    assert is_common(password)


@pytest.mark.parametrize("password", ["", "\n", "correct horse battery", "pässword-2026", "一二三四五六七八"])
def test_other_passwords_are_as_good_as_any(password: str) -> None:
    """Nothing else is asked of them."""
    assert not is_common(password)

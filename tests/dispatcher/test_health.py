"""What a dispatcher believes of its channels, and for how long."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.dispatcher.health import (
    EJECTION_SECONDS,
    EJECTION_SECONDS_MAX,
    FAILURES_MAX,
    GATEWAY_FAILURES,
    REFUSED_SECONDS,
    TOLD_SECONDS_MAX,
    Health,
)
from services.dispatcher.routing import Credential, Route
from tests.dispatcher.test_routing import route

MODEL = "theirs"


def fail(health: Health, channel: Route, now: float, kind: str = "failed", wait: float | None = None) -> None:
    """Note one failure of the first key of a channel."""
    health.failed(channel, channel.credentials[0], MODEL, kind=kind, wait_seconds=wait, now=now)


def fail_often(health: Health, channel: Route, now: float) -> None:
    """Note as many failures as eject a channel."""
    for _ in range(FAILURES_MAX):
        fail(health, channel, now)


def keys(*names: str) -> list[Credential]:
    """Return keys of these names."""
    return [Credential(id=name, name=name, secret="s") for name in names]


@pytest.mark.parametrize("kind", sorted(GATEWAY_FAILURES))
def test_failures_in_a_row_eject_a_channel_for_a_time(kind: str) -> None:
    """Whatever kind of a gateway's failure it is; then it is back."""
    health, (one, two) = Health(), (route("one"), route("two"))
    for _ in range(FAILURES_MAX - 1):
        fail(health, one, 0.0, kind)
    assert health.ejected([one, two], 0.0) == frozenset()

    fail(health, one, 0.0, kind)

    assert health.ejected([one, two], EJECTION_SECONDS - 1) == {"one"}
    assert health.ejected([one, two], EJECTION_SECONDS) == frozenset()
    (seen,) = health.view(10.0)
    assert (seen.channel_id, seen.ejections, seen.ejected_seconds) == ("one", 1, EJECTION_SECONDS - 10.0)


@pytest.mark.parametrize(
    "kind", ["rate_limited", "credential", "billing", "misconfigured", "invalid_request"]
)
def test_what_is_not_the_gateways_failure_does_not_count(kind: str) -> None:
    """A limit, a key, a model or a request."""
    health, (one, two) = Health(), (route("one"), route("two"))
    for _ in range(10 * FAILURES_MAX):
        fail(health, one, 0.0, kind)
    assert health.ejected([one, two], 0.0) == frozenset()


def test_a_whole_answer_ends_the_row() -> None:
    """Failures count only in a row."""
    health, (one, two) = Health(), (route("one"), route("two"))
    for _ in range(10):
        fail(health, one, 0.0)
        health.completed(one, one.credentials[0], MODEL)
    assert health.ejected([one, two], 0.0) == frozenset()


def test_who_comes_back_and_fails_is_ejected_at_once_and_for_longer() -> None:
    """30 s, 60 s, 90 s … up to five minutes; after a long good time it begins anew."""
    health, (one, two) = Health(), (route("one"), route("two"))
    now = 0.0
    fail_often(health, one, now)
    for times in range(1, 15):
        seconds = min(EJECTION_SECONDS * times, EJECTION_SECONDS_MAX)
        assert health.ejected([one, two], now + seconds - 0.001) == {"one"}
        assert health.ejected([one, two], now + seconds) == frozenset()
        now += seconds
        fail(health, one, now)

    now += 2 * EJECTION_SECONDS_MAX + 1
    health.completed(one, one.credentials[0], MODEL)
    fail_often(health, one, now)
    assert health.ejected([one, two], now + EJECTION_SECONDS) == frozenset()


def test_what_fails_during_an_ejection_does_not_lengthen_it() -> None:
    """A hundred calls that were under way when a channel died are one outage."""
    health, (one, two) = Health(), (route("one"), route("two"))
    for _ in range(100):
        fail(health, one, 0.0)
    assert health.ejected([one, two], EJECTION_SECONDS) == frozenset()


@given(
    st.integers(1, 9),
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["failed", "refused", "timeout", "ok"])), max_size=120
    ),
)
@example(1, [(0, "failed")] * FAILURES_MAX)
@example(3, [(number, "timeout") for number in range(3)] * FAILURES_MAX)
def test_half_of_a_models_channels_are_never_ejected(count: int, events: list[tuple[int, str]]) -> None:
    """And so never the last, whatever fails in whatever order."""
    health, routes = Health(), [route(str(number)) for number in range(count)]
    for number, kind in events:
        channel = routes[number % count]
        if kind == "ok":
            health.completed(channel, channel.credentials[0], MODEL)
        else:
            fail(health, channel, 0.0, kind)
        assert len(health.ejected(routes, 0.0)) <= count // 2


def test_a_limit_that_the_upstream_tells_is_kept_for_that_key_and_model() -> None:
    """As long as it says, an hour at most; another key and another model of it can be used."""
    health, one = Health(), route("one")
    fail(health, one, 0.0, "rate_limited", wait=7.0)
    own = one.credentials

    assert health.able(own, MODEL, 6.9) == []
    assert health.wait_seconds(own, MODEL, 2.0) == 5.0
    assert health.able(own, MODEL, 7.0) == list(own)
    assert health.able(own, "another", 0.0) == list(own)
    assert health.able(keys("x"), MODEL, 0.0) == keys("x")

    fail(health, one, 10.0, "rate_limited", wait=1e9)
    assert health.able(own, MODEL, 10.0 + TOLD_SECONDS_MAX) == list(own)


def test_a_limit_without_a_time_is_a_guess_that_doubles() -> None:
    """It is no reason to have nobody to ask, so the key stays able; a whole answer ends it."""
    health, one = Health(), route("one")
    now = 0.0
    for seconds in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        fail(health, one, now, "rate_limited")
        assert health.able(one.credentials, MODEL, now) == list(one.credentials)
        assert health.rested(one.credentials, MODEL, now + seconds - 0.01) == []
        assert health.rested(one.credentials, MODEL, now + seconds) == list(one.credentials)
        now += seconds

    fail(health, one, now, "rate_limited")
    health.completed(one, one.credentials[0], MODEL)
    assert health.rested(one.credentials, MODEL, now) == list(one.credentials)


def test_a_key_that_failed_lately_is_passed_over() -> None:
    """The choice is by chance among the others; when all failed, the one whose failure is longest ago."""
    health = Health()
    one = route("one")
    good = keys("a", "b", "c")
    for at, key in enumerate(good[:2]):
        health.failed(one, key, MODEL, kind="rate_limited", wait_seconds=None, now=float(at))

    assert {health.pick(good, 2.0, lambda: 0.999).name for _ in range(9)} == {"c"}
    assert health.pick(good[:2], 2.0, lambda: 0.999).name == "a"
    chances = iter([0.0, 0.4, 0.999])
    assert [health.pick(good, 100.0, lambda: next(chances)).name for _ in range(3)] == ["a", "b", "c"]


def test_a_refused_key_is_out_until_it_is_good_again() -> None:
    """By what is stored, or for a minute by what was seen here; another key under the same id is another key."""
    health = Health()
    (key,) = keys("a")
    health.refuse(key, 0.0)

    assert health.is_refused(key, REFUSED_SECONDS - 1)
    assert not health.is_refused(key, REFUSED_SECONDS)
    assert not health.is_refused(Credential(id="a", name="a", secret="new", version=2), 0.0)
    health.forgive(key)
    assert not health.is_refused(key, 0.0)
    assert health.is_refused(Credential(id="a", name="a", secret="s", is_refused=True), 0.0)


def test_what_is_gone_is_forgotten() -> None:
    """The memory is no larger than the channels that there are."""
    health, (one, two) = Health(), (route("one"), route("two"))
    for each in (one, two):
        fail_often(health, each, 0.0)
        fail(health, each, 0.0, "rate_limited")
        health.refuse(each.credentials[0], 0.0)

    health.keep([two])

    assert [seen.channel_id for seen in health.view(0.0)] == ["two"]
    assert not health.is_refused(one.credentials[0], 0.0)
    assert health.rested(one.credentials, MODEL, 0.0) == list(one.credentials)
    assert health.is_refused(two.credentials[0], 0.0)

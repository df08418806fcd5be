"""Which key of which channel is asked next, and what is passed over."""

import random

import msgspec

from services.dispatcher.course import Course
from services.dispatcher.health import FAILURES_MAX, REFUSED_SECONDS, Health
from services.dispatcher.routing import Credential, Route
from tests.dispatcher.test_routing import route

MODEL = "m"


def course_of(health: Health, *routes: Route) -> Course:
    """Return the way of a call over `routes` at the moment 0."""
    return Course(routes, MODEL, health, random.Random(1).random, 0.0)


def asked(course: Course, kind: str = "failed") -> list[str]:
    """Ask until nobody is left, each fails by `kind`; return whom, as channel/key, with what was passed over before."""
    told = []
    while True:
        step = course.next(0.0)
        told += [f"({passed.name} {standing})" for passed, standing in course.passed_over(step, 0.0)]
        if step is None:
            return told
        told.append(f"{step.route.name}/{step.credential.name}")
        course.asked(step)
        course.failed(step, kind)


def with_keys(name: str, *keys: str) -> Route:
    """Return a channel with keys of these names."""
    credentials = tuple(Credential(id=f"{name}-{key}", name=key, secret="s") for key in keys)
    return msgspec.structs.replace(route(name), credentials=credentials)


def eject(health: Health, channel: Route) -> None:
    """Let a channel fail until it is ejected."""
    for _ in range(FAILURES_MAX):
        health.failed(channel, channel.credentials[0], "theirs", kind="failed", wait_seconds=None, now=0.0)


def test_a_channel_that_failed_is_not_asked_again() -> None:
    """Whatever other keys it has."""
    routes = with_keys("one", "a", "b"), with_keys("two", "a")

    told = asked(course_of(Health(), *routes))

    assert [step.partition("/")[0] for step in told] == ["one", "two"]


def test_a_key_that_failed_leaves_its_channel_the_other_keys() -> None:
    """Each once, before the next channel."""
    for kind in ("credential", "billing", "rate_limited"):
        told = asked(course_of(Health(), with_keys("one", "a", "b", "c"), with_keys("two", "a")), kind)

        assert sorted(told[:3]) == ["one/a", "one/b", "one/c"]
        assert told[3:] == ["two/a"]


def test_an_ejected_channel_is_the_last_resort() -> None:
    """It is passed over, and asked after all others."""
    health, routes = Health(), (route("one"), route("two"), route("three"))
    eject(health, routes[0])

    assert asked(course_of(health, *routes)) == [
        "(one ejected)", "two/default", "three/default", "one/default",
    ]  # fmt: skip


def test_the_only_channel_is_asked_however_often_it_failed() -> None:
    """A model never loses its last one to ejection, or to a guess."""
    health, one = Health(), route("one")
    eject(health, one)
    health.failed(one, one.credentials[0], "theirs", kind="rate_limited", wait_seconds=None, now=0.0)

    assert asked(course_of(health, one)) == ["one/default"]


def test_who_was_told_to_wait_is_not_asked() -> None:
    """Sooner would be in vain; the client hears how long."""
    health, one = Health(), route("one")
    health.failed(one, one.credentials[0], "theirs", kind="rate_limited", wait_seconds=9.0, now=0.0)
    course = course_of(health, one)

    assert asked(course) == ["(one cooling_down)"]
    assert course.wait_seconds(2.0) == 7.0


def test_a_channel_without_a_good_key_is_not_asked() -> None:
    """Stored as refused, or seen here; one good key is enough."""
    health = Health()
    stored = msgspec.structs.replace(
        route("stored"), credentials=(Credential(id="s", name="a", secret="s", is_refused=True),)
    )
    seen, half = route("seen"), with_keys("half", "a", "b")
    health.refuse(seen.credentials[0], 0.0)
    health.refuse(half.credentials[0], 0.0)
    course = course_of(health, stored, seen, half)

    assert asked(course) == ["(stored credential)", "(seen credential)", "half/b"]
    assert course_of(health, stored).wait_seconds(0.0) == REFUSED_SECONDS
    assert course_of(health).wait_seconds(0.0) is None


def test_another_good_channel_is_known_beforehand() -> None:
    """It lets an attempt end sooner; one that is ejected does not."""
    health, (one, two) = Health(), (route("one"), route("two"))
    course = course_of(health, one, two)
    step = course.next(0.0)
    assert step is not None
    assert course.has_other(step, 0.0)

    eject(health, two)
    alone = course_of(health, one, two)
    assert not alone.has_other(step, 0.0)

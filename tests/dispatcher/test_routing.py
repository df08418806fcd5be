"""Which channels are tried for a model, and in which order."""

import random
from collections import Counter
from itertools import chain, repeat

from services.dispatcher.routing import Credential, Route, order


def route(name: str, *, priority: int = 0, weight: int = 1, models: tuple[str, ...] = ("m",)) -> Route:
    """Return a channel of this name."""
    return Route(
        id=name,
        name=name,
        base_url="https://upstream.example/v1",
        credentials=(Credential(id=name, name="default", secret="sk-upstream-secret"),),
        models=dict.fromkeys(models, "theirs"),
        priority=priority,
        weight=weight,
        abort_policy="estimate",
        output_parameter="max_tokens",
        version=1,
    )


def names(routes: list[Route]) -> list[str]:
    """Return the names in their order."""
    return [each.name for each in routes]


def test_only_channels_of_the_model_are_tried() -> None:
    """A channel that does not serve the model is never asked, and without one there is no order."""
    routes = [route("a"), route("b", models=("other",)), route("c", models=("m", "other"))]

    assert sorted(names(order(routes, "m", random.Random(1).random))) == ["a", "c"]
    assert order(routes, "unknown", random.Random(1).random) == []


def test_higher_priority_is_tried_first() -> None:
    """Whatever the weights are, and in whatever order the channels stand."""
    routes = [
        route("low", priority=-1, weight=10_000),
        route("high", priority=7),
        route("middle", weight=500),
    ]

    for seed in range(50):
        random.Random(seed).shuffle(routes)
        assert names(order(routes, "m", random.Random(seed).random)) == ["high", "middle", "low"]


def test_among_equals_the_first_is_drawn_in_proportion_to_weight() -> None:
    """The shares of 6,000 draws are within three hundredths of the weights."""
    routes = [route("one", weight=1), route("two", weight=2), route("three", weight=3)]
    chance = random.Random(7).random

    first = Counter(order(routes, "m", chance)[0].name for _ in range(6_000))

    for name, share in (("one", 1 / 6), ("two", 2 / 6), ("three", 3 / 6)):
        assert abs(first[name] / 6_000 - share) < 0.03


def test_the_second_is_drawn_among_the_rest_in_proportion_too() -> None:
    """When the heaviest is down, the others keep their proportion."""
    routes = [route("heavy", weight=100), route("one", weight=1), route("three", weight=3)]
    chance = random.Random(11).random

    second = Counter(
        names(drawn)[1] for _ in range(6_000) if names(drawn := order(routes, "m", chance))[0] == "heavy"
    )

    assert abs(second["three"] / second.total() - 0.75) < 0.03


def test_each_channel_has_one_place() -> None:
    """However many there are."""
    routes = [route(str(number), priority=number % 3, weight=1 + number) for number in range(20)]

    drawn = order(routes, "m", random.Random(3).random)

    assert sorted(names(drawn)) == sorted(names(routes))


def test_every_chance_below_one_draws_somebody() -> None:
    """Also the extremes of what a source of chance may give, where rounding is near."""
    routes = [route("a", weight=3), route("b", weight=7), route("c", weight=9_999)]

    for point in (0.0, 1e-300, 0.5, 1 - 2**-53):
        assert len(order(routes, "m", chain([point], repeat(point)).__next__)) == 3


def test_a_route_shows_no_credential() -> None:
    """Its representation, which a log or a traceback may print, is its name alone."""
    assert repr(route("openai")) == "Route('openai')"
    assert "secret" not in repr(route("openai").credentials)

"""The way of one call through the channels of its model: which key of which channel is next, and what was passed over. Pure."""

from collections.abc import Callable, Sequence

import msgspec

from services.dispatcher.health import KEY_FAILURES, REFUSED_SECONDS, Health, Standing
from services.dispatcher.routing import Credential, Route


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that may be made."""

    route: Route
    credential: Credential


class Course:
    """`routes` in the order to try them. No key is asked twice, and no channel again that has failed by more than its key.

    Channels that are good come first, and then those of which it is only believed that they are not (`health.py`).
    """

    def __init__(
        self, routes: Sequence[Route], model: str, health: Health, chance: Callable[[], float], now: float
    ) -> None:
        self._left = list(routes)
        self._model = model
        self._health = health
        self._chance = chance
        self._ejected = health.ejected(routes, now)
        self._asked: set[str] = set()
        self._noted: set[str] = set()

    def next(self, now: float) -> Step | None:
        """Return the next attempt to make, None when nothing is left to ask."""
        resort: Step | None = None
        for route in self._left:
            standing, keys = self._look(route, now)
            if standing == "good":
                return self._step(route, keys, now)
            if resort is None and standing != "credential" and keys:
                resort = self._step(route, keys, now)
        return resort

    def passed_over(self, step: Step | None, now: float) -> list[tuple[Route, Standing]]:
        """Return the channels that stand before `step`, or all that are left when there is none, and why they were not chosen.

        Each is told once.
        """
        found: list[tuple[Route, Standing]] = []
        for route in self._left:
            if step is not None and route is step.route:
                break
            standing, _ = self._look(route, now)
            if standing != "good" and route.id not in self._noted:
                self._noted.add(route.id)
                found.append((route, standing))
        return found

    def has_other(self, step: Step, now: float) -> bool:
        """Return whether another channel that is good could be asked after `step`."""
        return any(route is not step.route and self._look(route, now)[0] == "good" for route in self._left)

    def asked(self, step: Step) -> None:
        """Note that `step` is made: its key is not used again."""
        self._asked.add(step.credential.id)

    def failed(self, step: Step, kind: str) -> None:
        """Note that `step` has failed: its channel is not asked again, unless another key of it may do."""
        keys = step.route.credentials
        if kind not in KEY_FAILURES or all(key.id in self._asked for key in keys):
            self._left.remove(step.route)

    def wait_seconds(self, now: float) -> float | None:
        """Return how long until a channel of the model may be asked again; None when that is not known."""
        waits = []
        for route in self._left:
            told = self._health.wait_seconds(route.credentials, route.models[self._model], now)
            waits.append(REFUSED_SECONDS if told is None else told)
        return min(waits, default=None)

    def _look(self, route: Route, now: float) -> tuple[Standing, list[Credential]]:
        """Return how a channel stands, and the keys of it that could be used."""
        model = route.models[self._model]
        valid = [
            key
            for key in route.credentials
            if key.id not in self._asked and not self._health.is_refused(key, now)
        ]
        if not valid:
            return "credential", []
        able = self._health.able(valid, model, now)
        rested = self._health.rested(able, model, now)
        if not rested:
            return "cooling_down", able
        return ("ejected" if route.id in self._ejected else "good"), rested

    def _step(self, route: Route, keys: Sequence[Credential], now: float) -> Step:
        return Step(route=route, credential=self._health.pick(keys, now, self._chance))

"""From a request to its plan: routes, keys, the choice of the behaviour, and the few things that are remembered.

Remembered are queued scenarios, the count of attempts for `fail_first` and `fail_rate`, and finished plans: a request
with the same bytes and key gets the same bytes back, so it is rendered once.
"""

from collections import OrderedDict
from typing import TypeVar

import msgspec

from services.simulator.behaviour import Behaviour, Directive, from_key, from_model, from_prompt, resolve
from services.simulator.journal import Exchange
from services.simulator.plan import Plan
from services.simulator.prompt import ChatRequest, decode
from services.simulator.response import Case, chance, list_models, refuse, render
from services.simulator.scenarios import Scenarios
from shared.errors import MethodNotAllowed, NotFound, RelayError, Unauthenticated

INVALID_KEY_PREFIX = "sk-sim-invalid"

MOST_PLANS = 128
LARGEST_KEPT_BODY = 16_384
LARGEST_KEPT_PLAN = 262_144
MOST_COUNTED = 10_000

_METHODS = {"/v1/chat/completions": "POST", "/v1/models": "GET"}
K = TypeVar("K")
V = TypeVar("V")


class Desk:
    """Takes requests and returns the plans of their answers; it does no I/O."""

    def __init__(self, defaults: Directive, seed: int) -> None:
        """Raises: InvalidRequest for defaults that are not a directive."""
        resolve(defaults)
        self.scenarios = Scenarios()
        self._defaults = defaults
        self._seed = seed
        self._plans: OrderedDict[tuple[str, bytes], tuple[str, Plan]] = OrderedDict()
        self._attempts: OrderedDict[tuple[Behaviour, str], int] = OrderedDict()

    def reset(self) -> None:
        """Forget scenarios and attempts."""
        self.scenarios.clear()
        self._attempts.clear()

    def answer(self, exchange: Exchange, body: bytes) -> Plan:
        """Return the plan for the exchange, and note model and plan in it; what is refused is a plan too."""
        try:
            _check_route(exchange.method, exchange.path)
            _check_key(exchange.api_key)
            if exchange.path == "/v1/models":
                plan = list_models()
            else:
                exchange.model, plan = self._chat(exchange, body)
        except RelayError as error:
            plan = refuse(error)
        exchange.plan = plan
        return plan

    def _chat(self, exchange: Exchange, body: bytes) -> tuple[str, Plan]:
        key = (exchange.api_key, body)
        if not self.scenarios:
            known = self._plans.get(key)
            if known is not None:
                return known
        request = decode(body)
        scenario = self.scenarios.take(exchange.path, exchange.api_key, request)
        case = understand(request, exchange.api_key, scenario, self._defaults)
        has_chance = case.behaviour.fail_first is not None or case.behaviour.fail_rate is not None
        plan = render(self._after_chance(case) if has_chance else case, self._seed)
        if (
            not scenario
            and not has_chance
            and len(body) <= LARGEST_KEPT_BODY
            and plan.size <= LARGEST_KEPT_PLAN
        ):
            _remember(self._plans, key, (case.model, plan), MOST_PLANS)
        return case.model, plan

    def _after_chance(self, case: Case) -> Case:
        """Return the case with faults for this attempt, or without. The attempts of a text are counted, by any key."""
        behaviour = case.behaviour
        attempt = self._attempts.get((behaviour, case.user_text), 0) + 1
        _remember(self._attempts, (behaviour, case.user_text), attempt, MOST_COUNTED)
        if behaviour.fail_first is not None:
            fails = attempt <= behaviour.fail_first
        else:
            fails = chance(case, self._seed, attempt).random() < (behaviour.fail_rate or 0)
        if not fails:
            behaviour = behaviour.without_faults()
        elif not behaviour.has_fault:
            behaviour = msgspec.structs.replace(behaviour, status=500)
        return msgspec.structs.replace(case, behaviour=behaviour)


def understand(request: ChatRequest, api_key: str, scenario: Directive, defaults: Directive) -> Case:
    """Return the case of a request, with its behaviour from all sources.

    Raises: InvalidRequest for a directive that cannot be followed.
    """
    from_suffix, model = from_model(request.model)
    in_prompt, user_text = from_prompt(request.last_user_text)
    behaviour = resolve(scenario, in_prompt, from_suffix, from_key(api_key), defaults)
    return Case(request=request, model=model, user_text=user_text, behaviour=behaviour, api_key=api_key)


def _check_route(method: str, path: str) -> None:
    allowed = _METHODS.get(path)
    if allowed is None:
        raise NotFound("unknown_url", method=method, path=path)
    if method != allowed:
        raise MethodNotAllowed("method_not_allowed", method=method, allowed=allowed)


def _check_key(api_key: str) -> None:
    if not api_key:
        raise Unauthenticated("missing_api_key")
    if api_key.startswith(INVALID_KEY_PREFIX):
        raise Unauthenticated("invalid_api_key")


def _remember(memory: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)

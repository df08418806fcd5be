"""What a channel may be: each field's rule, and the sentence for whoever breaks it."""

import math

import httpx

from services.dispatcher import overrides
from shared.contracts import dispatcher
from shared.errors import InvalidRequest

NAME_LENGTH_MAX = 100
MODEL_LENGTH_MAX = 200
MODELS_MAX = 2000
CREDENTIAL_LENGTH_MAX = 4096
CREDENTIALS_MAX = 100
STATES_MAX = 200
URL_LENGTH_MAX = 2000
OUTPUT_PARAMETERS = ("max_tokens", "max_completion_tokens")
SLOW_SECONDS_MAX = 3600.0

_RULES = {
    "name": f"a channel's name has 1 to {NAME_LENGTH_MAX} printable characters",
    "base_url": "the base URL is http:// or https:// with a host, without user and query, such as https://api.openai.com/v1",
    "models": f"a channel has 1 to {MODELS_MAX} models, with names of 1 to {MODEL_LENGTH_MAX} printable characters",
    "priority": "priority must be from -1000000 to 1000000",
    "weight": "weight must be from 1 to 10000",
    "output_parameter": "the output parameter is max_tokens or max_completion_tokens",
    "slow_seconds": f"the seconds until another channel is tried are up to {SLOW_SECONDS_MAX:.0f}, 0 for the setting's",
}


def check(info: dispatcher.ChannelInfo) -> None:
    """Return if `info` is a channel that can work. Raises: InvalidRequest, which names the first field that cannot."""
    is_wrong = {
        "name": not is_name(info.name),
        "base_url": not _is_base_url(info.base_url),
        "models": not 1 <= len(info.models) <= MODELS_MAX
        or not all(_is_model(ours) and _is_model(theirs) for ours, theirs in info.models.items()),
        "priority": abs(info.priority) > 1_000_000,
        "weight": not 1 <= info.weight <= 10_000,
        "output_parameter": info.output_parameter not in OUTPUT_PARAMETERS,
        "slow_seconds": info.slow_seconds is not None
        and not (math.isfinite(info.slow_seconds) and 0 < info.slow_seconds <= SLOW_SECONDS_MAX),
    }
    problems = {
        **{param: _RULES[param] for param, is_bad in is_wrong.items() if is_bad},
        "headers": overrides.problem_of_headers(info.headers),
        "set_parameters": overrides.problem_of_values(info.set_parameters),
        "default_parameters": overrides.problem_of_values(info.default_parameters),
        "drop_parameters": overrides.problem_of_drop(info.drop_parameters),
    }
    for param, problem in problems.items():
        if problem is not None:
            raise InvalidRequest("invalid_value", param=param, problem=problem)


def check_key(name: str, credential: str) -> None:
    """Return if a key can be stored under `name`. Raises: InvalidRequest."""
    if not is_name(name):
        problem = f"a key's name has 1 to {NAME_LENGTH_MAX} printable characters"
        raise InvalidRequest("invalid_value", param="key", problem=problem)
    is_text = credential.isascii() and credential.isprintable()
    if not 1 <= len(credential) <= CREDENTIAL_LENGTH_MAX or not is_text:
        raise InvalidRequest("invalid_value", param="credential", problem="it must be printable ASCII text")


def is_name(text: str) -> bool:
    """Return whether a channel or a key may be called so."""
    return 1 <= len(text) <= NAME_LENGTH_MAX and text.isprintable()


def _is_base_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return (
        len(text) <= URL_LENGTH_MAX
        and url.scheme in ("http", "https")
        and bool(url.host)
        and (url.port or 1) <= 65_535
        and not (url.userinfo or url.query or url.fragment)
    )


def _is_model(name: str) -> bool:
    return 1 <= len(name) <= MODEL_LENGTH_MAX and name.isprintable()

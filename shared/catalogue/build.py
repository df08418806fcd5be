"""Make the shipped catalogue from what others publish under free licences: a tool for whoever releases Relay.

    python -m shared.catalogue.build --litellm WHEEL --litellm-date DAY --genai-date DAY

Of the wheel of LiteLLM only the JSON with its prices is read; genai-prices must be importable, from a folder on PYTHONPATH.
Neither is ever a dependency of Relay. docs/prices.md says how to fetch them.

The rule for two sources: the figures are those of genai-prices where it knows the model, for it records by hand when each was last
verified and when it changes; else those of LiteLLM. Limits and capabilities are LiteLLM's. What LiteLLM has instead is noted.
"""

import argparse
import datetime
import importlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from shared.catalogue.catalogue import FILE, FORMAT, Catalogue, Later, Model, Prices, Source, Tier, parse

PRICES_JSON = "litellm/model_prices_and_context_window_backup.json"
GENAI, LITELLM = "genai-prices", "litellm"
PER_MILLION = 10**6

# Our provider's name: LiteLLM's, genai-prices'. A maker's models have bare names, as its own API knows them.
MAKERS = {
    "openai": ("openai", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "google": ("gemini", "google"),
    "deepseek": ("deepseek", "deepseek"),
    "mistral": ("mistral", "mistral"),
    "xai": ("xai", "x-ai"),
    "alibaba": ("dashscope", ""),
    "moonshot": ("moonshot", "moonshotai"),
    "zhipu": ("zai", "zai"),
    "minimax": ("minimax", "minimax"),
    "cohere": ("cohere_chat", "cohere"),
}
# Who serves models of others: `groq/llama-3.3-70b-versatile`, for the same model costs something else elsewhere.
HOSTS = {
    "groq": ("groq", "groq"),
    "together": ("together_ai", "together"),
    "fireworks": ("fireworks_ai", "fireworks"),
    "cerebras": ("cerebras", "cerebras"),
}

CAPABILITIES = {
    "supports_vision": "vision",
    "supports_audio_input": "audio_input",
    "supports_video_input": "video_input",
    "supports_pdf_input": "pdf_input",
    "supports_function_calling": "tools",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_caching",
}
# Models that cost more than their text tokens (speech, pictures, searches), or whose name is somebody's own.
UNSUITABLE = re.compile(
    r"^ft:|audio|realtime|-live|tts|transcribe|image|lyria|omni|research|computer-use|search|container|robotics"
    r"|guard|flux|-ocr|^together-ai-|/routers/"
)


def main() -> None:
    """Write the catalogue beside this module."""
    parser = argparse.ArgumentParser(description="Make the shipped catalogue of prices.")
    parser.add_argument("--litellm", type=Path, required=True, metavar="WHEEL")
    for name in ("litellm", "genai"):
        parser.add_argument(f"--{name}-date", required=True, metavar="DAY", help="when it was published")
    given = parser.parse_args()
    providers = {each.id: each for each in importlib.import_module("genai_prices.data").providers}
    with zipfile.ZipFile(given.litellm) as wheel:
        listed = json.loads(wheel.read(PRICES_JSON), parse_float=Decimal, parse_int=Decimal)
    sources = {
        GENAI: Source(
            version=version("genai-prices"), licence="MIT", date=given.genai_date,
            url="https://pypi.org/project/genai-prices",
        ),
        LITELLM: Source(
            version=given.litellm.name.split("-")[1], licence="MIT", date=given.litellm_date,
            url="https://pypi.org/project/litellm",
        ),
    }  # fmt: skip
    catalogue = Catalogue(
        format=FORMAT,
        note="USD per million tokens; made by shared.catalogue.build, described in docs/prices.md",
        sources=sources,
        models=join(listed, providers, datetime.date.fromisoformat(given.litellm_date)),
    )
    text = written(catalogue)
    parse(text)
    (Path(__file__).parent / FILE).write_bytes(text)


def written(catalogue: Catalogue) -> bytes:
    """Return the file: one model on each line, by name."""
    head = msgspec.json.encode(msgspec.structs.replace(catalogue, models={}))
    lines = [
        msgspec.json.encode(name) + b": " + msgspec.json.encode(model)
        for name, model in sorted(catalogue.models.items())
    ]
    opened, empty, closed = head.partition(b'"models":{}')
    assert empty
    return opened + b'"models":{\n' + b",\n".join(lines) + b"\n}" + closed + b"\n"


def join(listed: Mapping[str, Any], providers: Mapping[str, Any], day: datetime.date) -> dict[str, Model]:
    """Return the models that both sources together know on `day`: `listed` as LiteLLM has them, `providers` as genai-prices."""
    models: dict[str, Model] = {}
    for provider, (theirs, other) in (MAKERS | HOSTS).items():
        for name, facts in _suitable(listed, theirs, day):
            model = _model(provider, name, facts, providers.get(other), day)
            if model is not None:
                is_bare = provider in MAKERS and name not in models
                models.setdefault(name if is_bare else f"{provider}/{name}", model)
    return models


def _suitable(
    listed: Mapping[str, Any], provider: str, day: datetime.date
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the chat models of a provider that are served on `day`, by the name at its own API; each name once."""
    seen = set()
    for key, facts in sorted(listed.items()):
        if facts.get("litellm_provider") != provider or facts.get("mode") not in ("chat", "responses"):
            continue
        name = key.removeprefix(f"{provider}/")
        gone = str(facts.get("deprecation_date") or "9999-12-31")
        if name not in seen and gone > day.isoformat() and not UNSUITABLE.search(name):
            seen.add(name)
            yield name, facts


def _model(
    provider: str, name: str, facts: Mapping[str, Any], known: Any, day: datetime.date
) -> Model | None:
    """Return one model, None when neither source has a price for it, or says that it is free."""
    theirs = _litellm_prices(facts)
    history = [] if known is None else list(_genai_history(known, name, day))
    chosen = history[0] if history else theirs
    if chosen is None or not (Decimal(chosen.input) and Decimal(chosen.output)):
        return None
    context, limit = (_tokens(facts.get(key)) for key in ("max_input_tokens", "max_output_tokens"))
    capabilities = tuple(sorted(ours for key, ours in CAPABILITIES.items() if facts.get(key) is True))
    if provider in HOSTS and not history and "tools" not in capabilities:
        return None  # hosts have hundreds of models that nobody offers any more, and LiteLLM still lists
    return Model(
        **_members(chosen),
        later=tuple(each for each in history[1:] if isinstance(each, Later)),
        provider=provider,
        context_tokens=context,
        max_output_tokens=limit,
        capabilities=capabilities,
        source=GENAI if history else LITELLM,
        differs=_difference(chosen, theirs) if history and theirs is not None else "",
    )


def _litellm_prices(facts: Mapping[str, Any]) -> Prices | None:
    """Return the prices of an entry of LiteLLM, which are USD for one token."""
    ranges = facts.get("tiered_pricing")
    if ranges:
        steps = {int(each["range"][0]): each for each in ranges}
    else:
        limits = re.findall(r"input_cost_per_token_above_(\d+)k_tokens(?=,|$)", ",".join(facts))
        steps = {0: facts} | {int(limit) * 1000: _above(facts, limit) for limit in limits}
    if any(not isinstance(step.get("input_cost_per_token"), Decimal) for step in steps.values()):
        return None
    figures = {above: _litellm_figures(step) for above, step in sorted(steps.items())}
    first = figures.pop(min(figures))
    return _prices(first, figures)


def _above(facts: Mapping[str, Any], limit: str) -> dict[str, Any]:
    """Return the costs of a prompt above `limit` thousand tokens; what has no such cost stays as it is."""
    suffix = f"_above_{limit}k_tokens"
    return {
        **facts,
        **{key.removesuffix(suffix): cost for key, cost in facts.items() if key.endswith(suffix)},
    }


def _litellm_figures(costs: Mapping[str, Any]) -> dict[str, Decimal | None]:
    keys = {
        "input": "input_cost_per_token",
        "output": "output_cost_per_token",
        "cache_read": "cache_read_input_token_cost",
        "cache_write": "cache_creation_input_token_cost",
    }
    found = {ours: costs.get(theirs) for ours, theirs in keys.items()}
    return {ours: None if cost is None else cost * PER_MILLION for ours, cost in found.items()}


def _genai_history(provider: Any, name: str, day: datetime.date) -> Iterator[Prices]:
    """Yield the prices of a model on `day`, and then each that it will have later; nothing when the model is unknown."""
    model = next((each for each in provider.models if each.is_match(name)), None)
    if model is None:
        return
    now = _genai_prices(model, day)
    if now is None:
        return
    yield now
    periods = model.prices if isinstance(model.prices, list) else []
    days = {each.constraint.start_date for each in periods if hasattr(each.constraint, "start_date")}
    for since in sorted(each for each in days if each > day):
        later = _genai_prices(model, since)
        if later is not None:
            yield Later(**_members(later), since=since.isoformat())


def _genai_prices(model: Any, day: datetime.date) -> Prices | None:
    """Return the prices on a day; where they change by the hour the dearest, for Relay has one price at all hours."""
    hours = [datetime.datetime.combine(day, datetime.time(hour), datetime.UTC) for hour in range(24)]
    found = [_genai_at(model.get_prices(hour)) for hour in hours]
    priced = [each for each in found if each is not None]
    return max(priced, key=lambda each: Decimal(each.input) + Decimal(each.output), default=None)


def _genai_at(prices: Any) -> Prices | None:
    keys = {
        "input": "input_mtok",
        "output": "output_mtok",
        "cache_read": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
    }
    costs = {ours: getattr(prices, theirs, None) for ours, theirs in keys.items()}
    if costs["input"] is None or costs["output"] is None:
        return None
    starts = {tier.start for cost in costs.values() for tier in getattr(cost, "tiers", ())}
    figures = {
        above: {ours: _genai_cost(cost, above) for ours, cost in costs.items()} for above in sorted(starts)
    }
    return _prices({ours: _genai_cost(cost, 0) for ours, cost in costs.items()}, figures)


def _genai_cost(cost: Any, above: int) -> Decimal | None:
    """Return what a token costs when the prompt is longer than `above`."""
    if cost is None or isinstance(cost, Decimal):
        return cost
    reached = [tier.price for tier in cost.tiers if tier.start <= above and above]
    price: Decimal = reached[-1] if reached else cost.base
    return price


def _prices(first: Mapping[str, Decimal | None], above: Mapping[int, Mapping[str, Decimal | None]]) -> Prices:
    tiers = tuple(Tier(above_input_tokens=limit, **_texts(figures)) for limit, figures in above.items())
    return Prices(**_texts(first), tiers=tiers)


def _texts(figures: Mapping[str, Decimal | None]) -> dict[str, Any]:
    """Return prices as text, without those that are the input's: a cost of nothing for a cache says that it is not priced apart."""
    given = figures["input"] or Decimal(0)
    texts = {"input": given, "output": figures["output"] or Decimal(0)}
    for name in ("cache_read", "cache_write"):
        price = figures[name]
        if price and price != given:
            texts[name] = price
    return {name: format(price.normalize(), "f") for name, price in texts.items()}


def _members(prices: Prices) -> dict[str, Any]:
    """Return what `prices` says, for a struct that says more."""
    return {name: getattr(prices, name) for name in Prices.__struct_fields__}


def _difference(chosen: Prices, other: Prices) -> str:
    """Return what the other source has instead, as text."""
    names = ("input", "output", "cache_read", "cache_write")
    texts = [
        f"{name} {getattr(other, name)}"
        for name in names
        if getattr(other, name) is not None and getattr(other, name) != getattr(chosen, name)
    ]
    if [tier.above_input_tokens for tier in chosen.tiers] != [
        tier.above_input_tokens for tier in other.tiers
    ]:
        texts.append("other tiers")
    return f"{LITELLM}: {', '.join(texts)}" if texts else ""


def _tokens(value: object) -> int | None:
    return int(value) if isinstance(value, Decimal) and value >= 1 else None


if __name__ == "__main__":
    main()

"""What a provider says it used, as one record, from whatever it reports.

A provider's `usage` object is hostile input: numbers come as text or floats, negative, null, absurdly large, and partly
or repeatedly within one stream. `merge` never raises; what it had to invent or cut off is marked implausible.
"""

import msgspec

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

LARGEST_TOKEN_COUNT = 10**9  # a hundred times the largest context there is; a larger figure is an error
_LONGEST_NUMERAL = 32

# Where each figure stands, the most specific place first. A dot leads into an object.
_PLACES = {
    "input": ("prompt_tokens",),
    "output": ("completion_tokens",),
    "total": ("total_tokens",),
    "reasoning": ("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
    "cache_read": (
        "prompt_tokens_details.cached_tokens",
        "prompt_token_details.cached_tokens",  # Mistral's spelling
        "prompt_cache_hit_tokens",  # DeepSeek
        "num_cached_tokens",  # Mistral
        "cached_tokens",  # Moonshot
    ),
    "cache_write": (
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_input_tokens",  # Alibaba
    ),
}
_PATHS = {name: [tuple(place.split(".")) for place in places] for name, places in _PLACES.items()}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one request. Zero means zero or not reported; no field is ever negative.

    `input_tokens` is the whole prompt, the cached parts included; `output_tokens` is all output, reasoning included.
    So `cache_read_tokens + cache_write_tokens <= input_tokens` and `reasoning_tokens <= output_tokens` always hold.
    `is_implausible` says that a reported figure was unusable or was cut off, so that a person should look at it.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    is_implausible: bool = False


def merge(previous: Usage | None, reported: Json) -> Usage:
    """Return `previous` overwritten, field by field, with what `reported` says.

    Nothing is added up, since providers report running totals. Null, a missing field and zero say nothing: early
    chunks carry zeros as placeholders. A numeral as text and a whole float are read as the number they mean; any
    other figure that is no count is left out or cut off at the limits and marks the result. Repeating a report
    changes nothing.
    """
    known = previous or Usage()
    counts, is_implausible = _read(reported)
    counts = _with_excluded_parts(counts)
    merged = Usage(
        input_tokens=counts["input"] or known.input_tokens,
        cache_read_tokens=counts["cache_read"] or known.cache_read_tokens,
        cache_write_tokens=counts["cache_write"] or known.cache_write_tokens,
        output_tokens=counts["output"] or known.output_tokens,
        reasoning_tokens=counts["reasoning"] or known.reasoning_tokens,
        is_implausible=known.is_implausible or is_implausible,
    )
    return _consistent(merged)


def tell(reported: Json, usage: Usage) -> dict[str, Json]:
    """Return `reported` as the chat API writes it, with the figures of `usage`: what a client reads is what it pays for.

    Other members stay, a numeral as text in them as the number it means; of a report that is no object nothing stays.
    """
    told = _as_numbers(reported)
    figures = told if isinstance(told, dict) else {}
    figures["prompt_tokens"] = usage.input_tokens
    figures["completion_tokens"] = usage.output_tokens
    figures["total_tokens"] = usage.input_tokens + usage.output_tokens
    for place, name, count in (
        ("prompt_tokens_details", "cached_tokens", usage.cache_read_tokens),
        ("prompt_tokens_details", "cache_write_tokens", usage.cache_write_tokens),
        ("completion_tokens_details", "reasoning_tokens", usage.reasoning_tokens),
    ):
        given = figures.get(place)
        details = given if isinstance(given, dict) else {}
        if count or details.get(name) is not None:
            figures[place] = {**details, name: count}
    return figures


def _as_numbers(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _as_numbers(inner) for name, inner in value.items()}
    if isinstance(value, str) and _count(value)[1]:
        return int(value)
    return value


def _read(reported: Json) -> tuple[dict[str, int], bool]:
    is_implausible = not isinstance(reported, dict)
    counts = {}
    for name, places in _PATHS.items():
        counts[name], is_usable = _count(_first_at(reported, places))
        is_implausible = is_implausible or not is_usable
    return counts, is_implausible


def _first_at(reported: Json, places: list[tuple[str, ...]]) -> Json:
    """Return what stands at the first of `places` where there is anything."""
    for place in places:
        value = reported
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _count(value: Json) -> tuple[int, bool]:
    """Return `value` as a count, and whether it was one."""
    if value is None:
        return 0, True
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMERAL):
            return 0, False
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0, False
    if not 0 <= value <= LARGEST_TOKEN_COUNT:
        return (LARGEST_TOKEN_COUNT if value > 0 else 0), False
    return int(value), value == int(value)


def _with_excluded_parts(counts: dict[str, int]) -> dict[str, int]:
    """Return `counts` with those parts counted in that the provider left out of its sums.

    xAI leaves reasoning out of the completion, which its total gives away, and at times the cached part out of the
    prompt, which then is smaller than the cached part.
    """
    prompt, output, reasoning = counts["input"], counts["output"], counts["reasoning"]
    cached = counts["cache_read"] + counts["cache_write"]
    if reasoning and (reasoning > output > 0 or counts["total"] == prompt + output + reasoning):
        output += reasoning
    if cached > prompt > 0:
        prompt += cached
    return {**counts, "input": prompt, "output": output}


def _consistent(usage: Usage) -> Usage:
    """Return `usage` with its parts no larger than their wholes, and marked if they were."""
    prompt = min(
        max(usage.input_tokens, usage.cache_read_tokens + usage.cache_write_tokens), LARGEST_TOKEN_COUNT
    )
    read = min(usage.cache_read_tokens, prompt)
    write = min(usage.cache_write_tokens, prompt - read)
    output = min(max(usage.output_tokens, usage.reasoning_tokens), LARGEST_TOKEN_COUNT)
    consistent = Usage(
        input_tokens=prompt,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
        reasoning_tokens=min(usage.reasoning_tokens, output),
        is_implausible=usage.is_implausible,
    )
    if consistent == usage:
        return usage
    return msgspec.structs.replace(consistent, is_implausible=True)

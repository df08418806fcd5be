"""Usage records: no report breaks them, and merging is overwriting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.usage import LARGEST_TOKEN_COUNT, Json, Usage, merge

FIELDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            (100, 40, 10, 50, 20),
            id="OpenAI",
        ),
        pytest.param(
            {
                "prompt_tokens": 339,
                "completion_tokens": 83,
                "total_tokens": 422,
                "prompt_cache_hit_tokens": 320,
                "prompt_cache_miss_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 39},
            },
            (339, 320, 0, 83, 39),
            id="DeepSeek",
        ),
        pytest.param(
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 241,
                "prompt_tokens_details": {"cached_tokens": 11},
                "completion_tokens_details": {"reasoning_tokens": 228},
            },
            (12, 11, 0, 229, 228),
            id="xAI leaves reasoning out of the completion",
        ),
        pytest.param(
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 30}},
            (40, 30, 0, 5, 0),
            id="cached left out of the prompt",
        ),
        pytest.param(
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 2, "cache_creation_input_tokens": 4},
            },
            (9, 2, 4, 3, 0),
            id="Alibaba",
        ),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}, (9, 4, 0, 3, 0), id="Moonshot"
        ),
        pytest.param(
            {"prompt_tokens": "12", "completion_tokens": 7.0}, (12, 0, 0, 7, 0), id="text and whole float"
        ),
        pytest.param({"prompt_tokens": None, "completion_tokens": None}, (0, 0, 0, 0, 0), id="null"),
        pytest.param({}, (0, 0, 0, 0, 0), id="nothing"),
    ],
)
def test_reports_of_providers_are_read(reported: Json, expected: tuple[int, ...]) -> None:
    """Each provider's names and sums give the same record, and none of them is implausible."""
    usage = merge(None, reported)
    assert tuple(getattr(usage, field) for field in FIELDS) == expected
    assert not usage.is_implausible


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (-1, 0),
        (2**63, LARGEST_TOKEN_COUNT),
        (10**400, LARGEST_TOKEN_COUNT),
        (1e308, LARGEST_TOKEN_COUNT),
        (float("inf"), LARGEST_TOKEN_COUNT),
        (float("nan"), 0),
        (12.5, 12),
        ("twelve", 0),
        ("-3", 0),
        ("9" * 5000, 0),
        (True, 0),
        ([12], 0),
        ({"tokens": 12}, 0),
    ],
)
def test_a_figure_that_is_no_count_is_cut_off_and_marked(value: Json, count: int) -> None:
    """A hostile figure raises nothing, stays within the limits and marks the record."""
    usage = merge(None, {"prompt_tokens": value, "completion_tokens": 5})
    assert (usage.input_tokens, usage.output_tokens, usage.is_implausible) == (count, 5, True)


@pytest.mark.parametrize("reported", [[], "usage", 5, True])
def test_a_report_that_is_no_object_changes_nothing_but_the_mark(reported: Json) -> None:
    """What is no object at all leaves the figures and marks the record."""
    known = Usage(input_tokens=3, output_tokens=4)
    assert merge(known, reported) == Usage(input_tokens=3, output_tokens=4, is_implausible=True)


def test_running_totals_overwrite_and_are_never_added() -> None:
    """A provider that reports on every chunk is charged its last report."""
    usage = None
    for tokens in (1, 2, 336):
        usage = merge(usage, {"prompt_tokens": 10, "completion_tokens": tokens})
    assert usage == Usage(input_tokens=10, output_tokens=336)


def test_placeholder_zeros_and_missing_fields_keep_what_is_known() -> None:
    """Zeros and nulls of a later report do not wipe out real figures, in either order."""
    real: Json = {"prompt_tokens": 10, "completion_tokens": 5}
    zeros: Json = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert merge(merge(None, zeros), real) == merge(merge(None, real), zeros) == merge(None, real)
    assert merge(merge(None, real), {"completion_tokens": 9, "prompt_tokens": None}).input_tokens == 10


_NUMBERS = st.one_of(
    st.none(),
    st.integers(),
    st.integers(min_value=0, max_value=1000),
    st.floats(),
    st.text(max_size=5),
    st.booleans(),
)
_DETAILS = st.one_of(
    _NUMBERS,
    st.lists(_NUMBERS, max_size=2),
    st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens"]), _NUMBERS),
)
_REPORTS = st.dictionaries(
    st.sampled_from(
        [
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
            "prompt_cache_hit_tokens",
        ]
    ),
    _DETAILS,
)


@given(reports=st.lists(_REPORTS, max_size=4))
def test_whatever_is_reported_the_record_is_consistent(reports: list[Json]) -> None:
    """No report raises; parts never exceed their wholes; nothing is negative or above the limit."""
    usage = Usage()
    for reported in reports:
        usage = merge(usage, reported)
    assert all(0 <= getattr(usage, field) <= LARGEST_TOKEN_COUNT for field in FIELDS)
    assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens


@given(first=_REPORTS, second=_REPORTS)
def test_repeating_a_report_changes_nothing(first: Json, second: Json) -> None:
    """The same report twice is the same as once."""
    usage = merge(merge(None, first), second)
    assert merge(usage, second) == usage

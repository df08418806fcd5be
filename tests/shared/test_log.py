"""Log lines: each one JSON object on one line, whatever it is told."""

import asyncio
import io
import json
import logging
import sys
from decimal import Decimal

import pytest

from shared.errors import InvalidRequest, NotFound
from shared.log import CountingHandler, JsonFormatter, configure, event, lines_by_level, log_loop_error


def line(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    """Return what is logged, read again; it is one line."""
    logger = logging.getLogger("shared.test")
    record = logger.makeRecord(
        "shared.test", logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )
    text = JsonFormatter("edge").format(record)
    assert "\n" not in text
    event: dict[str, object] = json.loads(text)
    return event


def test_an_event_has_a_time_a_level_and_its_source() -> None:
    """And the message with its arguments."""
    event = line("%d holds of %s", 3, "an edge")

    assert event.pop("time", "").__class__ is str
    assert event == {
        "level": "warning",
        "service": "edge",
        "logger": "shared.test",
        "message": "3 holds of an edge",
    }


def test_extra_fields_are_members() -> None:
    """Numbers and truths as they are, everything else as text."""
    event = line("x", holds=3, share=0.5, is_late=True, nothing=None, price=Decimal("1.5"))

    assert event["holds"] == 3
    assert event["share"] == 0.5
    assert event["is_late"] is True
    assert event["nothing"] is None
    assert event["price"] == "1.5"


def test_an_extra_field_replaces_nothing() -> None:
    """The service is who it says it is."""
    event = line("x", service="another", level="debug", time="never")

    assert (event["service"], event["level"]) == ("edge", "warning")
    assert event["time"] != "never"


@pytest.mark.parametrize(
    "text", ['{"forged": true}\n{"second": 1}', "\x00\x1b[31m", "\udcff half a surrogate", "中文 𝄞", "\u2028"]
)
def test_text_from_outside_cannot_break_the_line(text: str) -> None:
    """It is escaped, in the message as in a field."""
    event = line("%s", text, field=text)

    assert event["message"] == text
    assert event["field"] == text


def test_a_number_of_any_size_is_logged() -> None:
    """A hostile usage must not cost us the line that reports it."""
    assert line("x", tokens=10**40)["tokens"] == 10**40


def test_an_exception_is_a_member() -> None:
    """With its traceback in one string."""
    try:
        raise ZeroDivisionError("detail")
    except ZeroDivisionError:
        record = logging.getLogger().makeRecord("x", logging.ERROR, __file__, 1, "x", (), sys.exc_info())
    event = json.loads(JsonFormatter("edge").format(record))

    assert "ZeroDivisionError: detail" in event["exception"]
    assert "Traceback" in event["exception"]


def caught(error: BaseException, cause: BaseException | None = None) -> str:
    """Return how an exception is logged."""
    try:
        raise error from cause
    except BaseException:  # noqa: BLE001 - any of them
        record = logging.getLogger().makeRecord("x", logging.ERROR, __file__, 1, "x", (), sys.exc_info())
    return str(json.loads(JsonFormatter("edge").format(record))["exception"])


class RowRefused(Exception):
    """As asyncpg raises it: a code, words, and a detail that quotes the row."""

    sqlstate = "23514"

    def __str__(self) -> str:
        return f"{self.args[0]}\nDETAIL:  Failing row contains (secret)."


class ValueRefused(RowRefused):
    """One whose words quote a value."""

    sqlstate = "22P02"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("secret"), "KeyError"),
        (ValueError("invalid literal: 'secret'"), "ValueError"),
        (UnicodeEncodeError("utf-8", "secret \ud800", 7, 8, "surrogates not allowed"), "UnicodeEncodeError"),
        (json.JSONDecodeError("Expecting value", "secret", 0), "JSONDecodeError"),
        (
            ConnectionRefusedError(111, "Connect call failed ('secret', 443)"),
            "ConnectionRefusedError: ECONNREFUSED",
        ),
        (RowRefused("violates a check"), "RowRefused: 23514 violates a check"),
        (ValueRefused('invalid input: "secret"'), "ValueRefused: 22P02"),
        (NotFound("unknown_url", method="GET", path="/secret"), "NotFound: unknown_url"),
        (
            InvalidRequest("secret", wording="upstream_rejected", status=400),
            "InvalidRequest: upstream_rejected",
        ),
        (AssertionError("the head is too long"), "AssertionError: the head is too long"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_exception_quotes_no_data(error: BaseException, words: str) -> None:
    """What it is and where it came from is told; its message only if that is made of code. The same holds for its causes."""
    assert caught(error).splitlines()[-1] == words
    chained = caught(RuntimeError("secret"), error)
    assert words in chained
    assert chained.splitlines()[-1] == "RuntimeError"
    quoted = "\n".join(
        line for line in chained.splitlines() if not line.startswith("    ")
    )  # but for lines of code
    assert "secret" not in quoted


async def test_what_the_loop_could_not_hand_to_anybody_quotes_no_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task that failed unseen is told by its type alone."""
    log_loop_error(
        asyncio.get_running_loop(),
        {"message": "Task exception was never retrieved", "exception": KeyError("secret")},
    )

    (record,) = caplog.records
    text = JsonFormatter("edge").format(record)
    assert "never retrieved" in text
    assert "KeyError" in text
    assert "secret" not in text


def test_configured_logging_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """From the level upwards, each event once."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure("billing", "warning")
        configure("billing", "warning")
        logging.getLogger("a").info("quiet")
        logging.getLogger("a").warning("loud")
    finally:
        counted = lines_by_level()
        root.handlers[:], root.level = before[0], before[1]
    (event,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert counted == {("debug",): 0, ("info",): 0, ("warning",): 1, ("error",): 0, ("critical",): 0}
    assert (event["service"], event["message"]) == ("billing", "loud")


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_a_line_without_a_record_is_the_same_line(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the same members in the same order, from the same level upwards, whatever is in it, and counted alike."""
    root, logger = logging.getLogger(), logging.getLogger("edge.visits")
    before = root.handlers[:], root.level
    fields: dict[str, object] = {
        "ms": 1.5,
        "model": "\n中",
        "price": Decimal("1.5"),
        "service": "another",
    }
    try:
        configure("edge", level)
        logger.info("request", extra=fields)
        event(logger, "request", fields)
        counted = lines_by_level()
        root.handlers.append(logging.NullHandler())
        event(logger, "request", fields)
    finally:
        root.handlers[:], root.level = before[0], before[1]
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    expected = 0 if level == "warning" else 3

    assert counted["info",] == min(expected, 2)
    assert [list(line.items())[1:] for line in lines] == [
        list(line.items())[1:] for line in lines[:1]
    ] * expected
    assert all(line["service"] == "edge" for line in lines)


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    """Standard error is closed, or nobody reads it any more: the request that has a line goes on."""
    root, logger = logging.getLogger(), logging.getLogger("edge.visits")
    before = root.handlers[:], root.level
    closed = io.StringIO()
    closed.close()
    try:
        configure("edge", "info")
        handler = root.handlers[0]
        assert isinstance(handler, CountingHandler)
        handler.stream = closed
        event(logger, "request", {"ms": 1.5})
        counted = lines_by_level()
    finally:
        root.handlers[:], root.level = before[0], before[1]

    assert counted["info",] == 1

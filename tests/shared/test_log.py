"""Log lines: each one JSON object on one line, whatever it is told."""

import json
import logging
import sys
from decimal import Decimal

import pytest

from shared.log import JsonFormatter, configure


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
        root.handlers[:], root.level = before[0], before[1]
    (event,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (event["service"], event["message"]) == ("billing", "loud")

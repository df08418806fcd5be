"""Pages of a list, spans of days, and lists that are saved as a table. Pure but for the pages that a table is read from.

A table is CSV as of RFC 4180, in UTF-8 with a byte order mark, since spreadsheets take Chinese for something else without one.
What people and upstreams have written can begin like a formula, which a spreadsheet would work out: such a cell gets an apostrophe
before it (OWASP, CSV Injection). Figures are our own and stay as they are.
"""

import csv
import datetime
import io
import re
from collections.abc import Iterable

from services.edge.api.shapes.wallet import PageQuery
from services.edge.errors import Language
from shared.errors import InvalidRequest

PAGE_MAX = 200
TABLE_ROWS_MAX = 100_000
TABLE_PAGE_ROWS = 500
MARK = "\ufeff"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Columns = tuple[tuple[str, str], ...]  # in English and Chinese


def limit_of(query: PageQuery) -> int:
    """Return how many items a page may have. Raises: InvalidRequest."""
    if not 1 <= query.limit <= PAGE_MAX:
        raise InvalidRequest("invalid_value", param="limit", problem=f"a page has 1 to {PAGE_MAX} items")
    return query.limit


def span_of(first_day: str | None, end_day: str | None) -> tuple[float | None, float | None]:
    """Return when the first day begins, and when the last one has ended, in UTC. Raises: InvalidRequest."""
    first, end = _day_of("first_day", first_day), _day_of("end_day", end_day)
    if first is not None and end is not None and first > end:
        raise InvalidRequest("invalid_value", param="end_day", problem="end_day is before first_day")
    return first, end


def number_of(cursor: str | None) -> int | None:
    """Return where a list of things with numbers goes on. Raises: InvalidRequest for what no page has given."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 19 and int(cursor) < 2**63):
        raise InvalidRequest("invalid_value", param="cursor", problem="no page gave this cursor")
    return int(cursor)


def header(columns: Columns, language: Language) -> bytes:
    """Return the first line of a table."""
    return (
        MARK + _lines([[chinese if language == "zh" else english for english, chinese in columns]])
    ).encode()


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Return the lines of these rows."""
    return _lines(rows).encode()


def words(text: str) -> str:
    """Return what others have written as a cell that no spreadsheet works out."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def moment(unix: float) -> str:
    """Return a moment as spreadsheets and people read it, in UTC."""
    return datetime.datetime.fromtimestamp(int(unix), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _day_of(param: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            "invalid_value", param=param, problem="a date is written as 2026-01-31"
        ) from error
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()
    if moment < 0:
        raise InvalidRequest("invalid_value", param=param, problem="the date is out of range")
    return moment

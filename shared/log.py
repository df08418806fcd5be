"""JSON lines on standard error: one object per event, never a prompt, a key or an upstream's words.

An exception is logged with its type and the way it took through our code. Its message is left out unless it is made of code
and not of data: a `KeyError` or a `ValueError` quotes whatever it met, and PostgreSQL's detail quotes the row.
"""

import asyncio
import errno
import json
import logging
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress

import msgspec

from shared.errors import RelayError

LEVELS = ("debug", "info", "warning", "error", "critical")
MESSAGE_CHARACTERS_MAX = 300
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SPEAKING = (AssertionError, TypeError, AttributeError, ArithmeticError, ImportError)
_DATA_EXCEPTION = "22"  # PostgreSQL's class of errors that quote a value (its manual, appendix A)

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; `extra` fields become members."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._second = 0
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON on one line."""
        event = self.begun(record.created, record.levelname.lower(), record.name, record.getMessage())
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                event.setdefault(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            event["exception"] = exception_text(record.exc_info[1])
        return _text(event)

    def begun(self, moment: float, level: str, logger: str, message: str) -> dict[str, object]:
        """Return what every line has."""
        second = int(moment)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return {
            "time": f"{self._second_text}.{int((moment - second) * 1000):03d}Z",
            "level": level,
            "service": self._service,
            "logger": logger,
            "message": message,
        }


class CountingHandler(logging.StreamHandler):  # type: ignore[type-arg]  # typeshed's parameter does not exist at run time
    """Writes each record to standard error, and counts the lines by level."""

    def __init__(self, service: str) -> None:
        super().__init__(sys.stderr)
        self.lines: Counter[str] = Counter()
        self._json = JsonFormatter(service)
        self.setFormatter(self._json)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.lines[record.levelname.lower()] += 1
        super().emit(record)

    def write(self, logger: str, message: str, fields: dict[str, object]) -> None:
        """Write one line at the level info, without a record."""
        self.lines["info"] += 1
        begun = self._json.begun(time.time(), "info", logger, message)
        text = _text(begun | fields | begun)  # a field replaces nothing
        assert self.lock is not None
        # As in `emit`, a log that cannot be written stops nobody.
        with self.lock, suppress(OSError, ValueError):
            self.stream.write(text + self.terminator)
            self.flush()


def configure(service: str, level: str) -> None:
    """Send every log record of this process to standard error as JSON, from `level` upwards."""
    # Nobody reads these, and a line costs less without them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = CountingHandler(service)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def event(logger: logging.Logger, message: str, fields: dict[str, object]) -> None:
    """Log what `logger.info(message, extra=fields)` does, in a third of the time: for a line that every request has."""
    if not logger.isEnabledFor(logging.INFO):
        return
    handlers = logging.getLogger().handlers
    if len(handlers) == 1 and isinstance(handlers[0], CountingHandler):
        handlers[0].write(logger.name, message, fields)
    else:
        logger.info(message, extra=fields)


def lines_by_level() -> dict[tuple[str, ...], float]:
    """Return how many lines this process has logged, by level; none where `configure` was not called."""
    counts: Counter[str] = Counter()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, CountingHandler):
            counts.update(handler.lines)
    return {(level,): counts[level] for level in LEVELS}


def exception_text(error: BaseException) -> str:
    """Return an exception and what caused it: where it came from, its type, and its message if that quotes no data."""
    chain = [error]
    while (cause := _cause(chain[-1])) is not None and cause not in chain:
        chain.append(cause)
    parts = []
    for each in reversed(chain):
        frames = "".join(traceback.format_tb(each.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(each).__qualname__}{_words(each)}")
    return "\n\n".join(parts)


def log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what the event loop could not hand to anybody; its own handler would print the exception with all that it quotes."""
    error = context.get("exception")
    log.error("%s", context.get("message"), exc_info=error if isinstance(error, BaseException) else None)


def _text(event: dict[str, object]) -> str:
    try:
        return _encode(event).decode()
    except (ValueError, OverflowError, RecursionError):
        # The standard library takes what a fault may bring along: half a surrogate, an integer of any size.
        return json.dumps(event, ensure_ascii=False, default=str)


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _words(error: BaseException) -> str:
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(error, RelayError):
        text = error.wording or error.code  # its sentence can name what the client wrote
    elif isinstance(error, OSError):
        text = errno.errorcode.get(error.errno or 0, "")  # its text can name a host
    elif isinstance(sqlstate, str):
        text = (
            sqlstate
            if sqlstate.startswith(_DATA_EXCEPTION)
            else f"{sqlstate} {error.args[0] if error.args else ''}"
        )
    elif isinstance(error, _SPEAKING) or type(error) is LookupError:
        text = str(error)
    else:
        return ""
    first_line = text.partition("\n")[0][:MESSAGE_CHARACTERS_MAX]
    return f": {first_line}" if first_line else ""

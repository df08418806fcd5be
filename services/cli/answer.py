"""What a command prints: one JSON document, or a sentence or table for people."""

import time
from collections.abc import Iterable

import click
import msgspec

WIDTH_WITHOUT_TERMINAL = 10_000  # a program that reads the table gets whole lines


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of text under their columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a command: `document` with `--json`, else `text` and a `remark`; then `failure`, if any, as for a refusal."""

    document: msgspec.Struct
    text: str | Table
    remark: str = ""
    failure: str | None = None


def table(columns: str, rows: Iterable[tuple[str, ...]]) -> Table:
    """Return `rows` under `columns`, whose names are separated by `|`."""
    return Table(columns=tuple(columns.split("|")), rows=tuple(rows))


def moment(unix: float | None) -> str:
    """Return a time as people read it, in UTC; nothing for None."""
    return "" if unix is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(unix))


def show(answer: Answer, *, as_json: bool) -> None:
    """Print `answer` on standard output. Raises: ClickException with its failure, if it has one."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer.document), indent=2))
    elif isinstance(answer.text, Table):
        _print(answer.text)
    else:
        click.echo(answer.text)
    if answer.remark and not as_json:
        click.echo(answer.remark)
    if answer.failure is not None:
        raise click.ClickException(answer.failure)


def _print(shown: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False, markup=False, emoji=False)  # what is shown was entered by people
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    drawn = RichTable(box=None, pad_edge=False, header_style="" if console.no_color else "bold")
    for column in shown.columns:
        drawn.add_column(column, overflow="fold")
    for row in shown.rows:
        drawn.add_row(*row)
    console.print(drawn)

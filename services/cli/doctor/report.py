"""What the checks find, in the words that are printed."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: where, what, and what to do."""

    part: str
    problem: str
    remedy: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `checked` was looked at, also where it is in order; `left_out` was not, and says which setting it needs."""

    is_healthy: bool
    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    left_out: tuple[str, ...]


class Report:
    """Collects what is found, in the order in which it is found."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._checked: list[str] = []
        self._left_out: list[str] = []

    def wrong(self, part: str, problem: str, remedy: str) -> None:
        """Note a thing that is wrong; both are sentences without their full stop."""
        found = Problem(part=part, problem=problem, remedy=remedy)
        if found not in self._problems:
            self._problems.append(found)

    def left_out(self, what: str) -> None:
        """Note what cannot be checked with these settings, and which it needs."""
        self._left_out.append(what)

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Note that `what` is checked in this block."""
        self._checked.append(what)
        yield

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong so far."""
        return tuple(self._problems)

    def diagnosis(self) -> Diagnosis:
        """Return everything that was found."""
        return Diagnosis(
            is_healthy=not self._problems,
            problems=self.problems,
            checked=tuple(self._checked),
            left_out=tuple(self._left_out),
        )


def text_of(diagnosis: Diagnosis) -> str:
    """Return one line for each thing that is wrong, and one that says how much was looked at."""
    lines = [f"{each.part}: {each.problem}. {each.remedy}." for each in diagnosis.problems]
    lines.append(f"Checked: {', '.join(diagnosis.checked)}.")
    if diagnosis.left_out:
        lines.append(f"Not checked: {'; '.join(diagnosis.left_out)}.")
    if diagnosis.is_healthy:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)

"""What a mutant is: one deliberate fault, as a substitution in one file of the product."""

from pathlib import Path

import msgspec


class DoesNotApply(ValueError):
    """The text to replace does not stand in its file exactly once."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: `old` stands once in `file`, and with `new` in its place the promise `breaks` is broken.

    `breaks` begins with the number of an invariant of ARCHITECTURE.md or the name of a part. Each of `tests`, node
    ids of pytest, must fail on it.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Put the fault into the tree at `root`. Raises: DoesNotApply; nothing is changed then."""
        path = root / self.file
        text = path.read_text()
        if (count := text.count(self.old)) != 1:
            raise DoesNotApply(f"{self.name}: the text to replace stands {count} times in {self.file}")
        path.write_text(text.replace(self.old, self.new))

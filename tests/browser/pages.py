"""The pages of the console, read from its own tables of routes, so that none is forgotten."""

import re
from pathlib import Path
from typing import Literal

import msgspec

SOURCES = Path(__file__).parent.parent.parent / "console" / "src"
NOT_FOUND = "/no-such-page"

Access = Literal["public", "person", "operator"]
_PAGE = re.compile(r'\bpage\(\s*"(?P<path>[^"]+)",\s*"(?P<area>\w+)",(?P<rest>.*?)(?=\bpage\(|\Z)', re.DOTALL)
_ACCESS = re.compile(r'\baccess:\s*"(\w+)"')
_CONSTANT = re.compile(r"^const (\w+) = (\{.*?\}) as const;$", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r":(\w+)(?![\w?])")
_OPTIONAL = re.compile(r"/:(\w+)\?")
_USUAL: dict[str, Access] = {"public": "public", "operator": "operator"}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page: its address as the router has it, with parameters after colons, and who may see it. `:name?` may be left out."""

    path: str
    access: Access

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what its address needs."""
        return tuple(_PARAMETER.findall(self.path))

    def address(self, values: dict[str, str]) -> str:
        """Return its address with what it needs filled in, and the rest left out."""
        return _PARAMETER.sub(lambda found: values[found[1]], _OPTIONAL.sub("", self.path))

    @property
    def name(self) -> str:
        """A name for files and tests."""
        return _OPTIONAL.sub("", self.path).strip("/").replace("/", "-").replace(":", "") or "landing"


def pages() -> list[Page]:
    """Return every page of every area, in the order of their tables."""
    found = []
    for table in sorted((SOURCES / "pages").glob("*/routes.ts")):
        text = table.read_text(encoding="utf-8")
        for constant in _CONSTANT.finditer(text):
            text = re.sub(rf"\b{constant[1]}\)", f"{constant[2]})", text)
        for match in _PAGE.finditer(text):
            given = _ACCESS.search(match["rest"])
            access = given[1] if given else _USUAL.get(match["area"], "person")
            found.append(Page(path=match["path"], access=msgspec.convert(access, Access)))
    return found

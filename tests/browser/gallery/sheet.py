"""All pictures on one page, grouped as they were taken, to look at with a designer's eye."""

from html import escape
from itertools import groupby
from pathlib import Path

import msgspec

_STYLE = """
body { font: 14px system-ui, sans-serif; margin: 24px; background: #f1f3f5; color: #212529 }
h1 { font-size: 20px } h2 { font-size: 15px; margin: 28px 0 8px }
nav a { margin-right: 12px } .row { display: flex; gap: 12px; align-items: flex-start; overflow-x: auto; padding-bottom: 8px }
figure { margin: 0; flex: none } figcaption { margin-top: 4px; font-size: 12px; color: #495057 }
img { display: block; height: 360px; border: 1px solid #ced4da; border-radius: 4px; background: #fff }
"""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One picture: of what, as whom, and how it looks."""

    page: str
    role: str
    language: str
    scheme: str
    width: int

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.page}.{self.role}.{self.language}.{self.scheme}.{self.width}.png"

    @property
    def look(self) -> str:
        """Its look, in words."""
        return f"{self.language}, {self.scheme}, {self.width} px"


def write(folder: Path, pictures: list[Picture]) -> Path:
    """Write `index.html` beside the pictures; return it."""
    ordered = sorted(pictures, key=lambda each: (each.page, each.role))
    groups = [(key, list(group)) for key, group in groupby(ordered, key=lambda each: (each.page, each.role))]
    links = "".join(f'<a href="#{page}.{role}">{page} ({role})</a> ' for (page, role), _ in groups)
    rows = "".join(_row(page, role, group) for (page, role), group in groups)
    sheet = folder / "index.html"
    sheet.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pages of the console</title><style>{_STYLE}</style>'
        f"<h1>{len(pictures)} pictures of the console</h1><nav>{links}</nav>{rows}</html>\n",
        encoding="utf-8",
    )
    return sheet


def _row(page: str, role: str, group: list[Picture]) -> str:
    figures = "".join(
        f'<figure><a href="{escape(each.file)}"><img loading="lazy" src="{escape(each.file)}" alt="{escape(each.look)}"></a>'
        f"<figcaption>{escape(each.look)}</figcaption></figure>"
        for each in sorted(group, key=lambda each: (each.width, each.scheme, each.language), reverse=True)
    )
    heading = f"{escape(page)} <small>{escape(role)}</small>"
    return f'<section id="{escape(page)}.{escape(role)}"><h2>{heading}</h2><div class="row">{figures}</div></section>'

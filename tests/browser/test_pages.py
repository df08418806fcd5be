"""The list of pages that the other tests go by is the console's own."""

import re

from tests.browser.pages import SOURCES, pages


def test_every_page_of_the_tables_is_known() -> None:
    """Each call of `page(…)` became one page, and each address is there once."""
    written = sum(
        len(re.findall(r"\bpage\(", table.read_text(encoding="utf-8")))
        for table in (SOURCES / "pages").glob("*/routes.ts")
    )

    assert written
    assert len(pages()) == written == len({page.path for page in pages()})


def test_every_table_is_in_the_router() -> None:
    """The router has the tables of these folders and no page of its own but the one for what is not there."""
    router = (SOURCES / "app" / "routes.ts").read_text(encoding="utf-8")

    folders = {table.parent.name for table in (SOURCES / "pages").glob("*/routes.ts")}

    assert {f"../pages/{folder}/routes" for folder in folders} == set(
        re.findall(r"\.\./pages/\w+/routes", router)
    )
    assert re.findall(r'\bpage\("([^"]+)"', router) == ["*"]

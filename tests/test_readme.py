"""The README in both languages says the same, and no document leads nowhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "console/README.md"]
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r" *#.*$", re.MULTILINE)
SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(path: Path) -> list[str]:
    """Return the blocks of code of a document without their comments, which are in its language."""
    return [COMMENT.sub("", block) for block in CODE.findall(path.read_text(encoding="utf-8"))]


def links(path: Path) -> list[tuple[str, str]]:
    """Return the links and pictures of a document that lead to files of ours: each with its text, and where it leads."""
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    found = [(each["text"], each["target"]) for each in LINK.finditer(text)]
    return [(words, target) for words, target in found if not re.match(r"[a-z]+:", target)]


def anchors(path: Path) -> set[str]:
    """Return what can stand behind the # of a link to a document, as GitHub makes it of its headings."""
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    plain = (LINK.sub(lambda link: link["text"], each) for each in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in plain}


def names(path: Path) -> set[str]:
    """Return every variable, make target, path of HTTP and file that a document names in its text."""
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    return {span for span in SPAN.findall(text) if span.isascii()}


def test_both_readmes_have_the_same_code() -> None:
    """Block by block, but for comments."""
    assert blocks(ENGLISH) == blocks(CHINESE)
    assert len(blocks(ENGLISH)) >= 4


def test_both_readmes_lead_to_the_same_files() -> None:
    """In the same order, pictures too; and each to the other, before anything else."""
    english, chinese = links(ENGLISH), links(CHINESE)

    assert english[0][1] == CHINESE.name
    assert chinese[0][1] == ENGLISH.name
    assert [target for _, target in english[1:]] == [target for _, target in chinese[1:]]


def test_both_readmes_name_the_same_things() -> None:
    """Settings, commands and routes: what one says of them the other does not leave out."""
    assert names(ENGLISH) == names(CHINESE)


def test_pictures_say_what_they_show() -> None:
    """To whoever does not see them."""
    for path in (ENGLISH, CHINESE):
        pictures = [each for each in LINK.finditer(path.read_text(encoding="utf-8")) if each["picture"]]
        assert len(pictures) == 2
        assert all(len(each["text"]) >= 20 for each in pictures)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """To a file that is there, and a heading that it has."""
    wrong = []
    for _, target in links(path):
        name, _, anchor = target.partition("#")
        meant = (path.parent / unquote(name)).resolve() if name else path
        if not meant.exists() or (anchor and anchor not in anchors(meant)):
            wrong.append(target)

    assert not wrong


def test_every_page_of_the_documentation_is_found_from_the_readme() -> None:
    """Directly, or from a page that is."""
    reached, waiting = set(), [ENGLISH]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md" or not path.exists():
            continue
        reached.add(path)
        targets = (target.partition("#")[0] for _, target in links(path))
        waiting += [(path.parent / target).resolve() for target in targets if target]

    assert set((ROOT / "docs").glob("*.md")) <= reached

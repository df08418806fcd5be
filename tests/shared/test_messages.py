"""The sentences, and that every error has one."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import shared.messages
from shared.errors import FAMILY
from shared.messages import LANGUAGES, MESSAGES, render

ROOT = Path(shared.messages.__file__).parents[1]
CLASSES = {cls.__name__ for cls in FAMILY.values()} | {"RelayError"}
FIELDS = {"param", "retry_after_seconds", "wording"}


class Raised(msgspec.Struct, frozen=True):
    """One place where the source makes an error: the code whose sentence it needs and the details it gives."""

    place: str
    code: str
    details: frozenset[str]
    has_more_details: bool  # `**details`, which only run time knows


@pytest.mark.parametrize("code", MESSAGES)
def test_a_code_has_a_sentence_in_each_language_with_the_same_details(code: str) -> None:
    """No language says less than another."""
    sentences = MESSAGES[code]
    assert len(sentences) == len(LANGUAGES)
    assert all(sentence.strip() == sentence and sentence for sentence in sentences)
    assert len({frozenset(placeholders(sentence)) for sentence in sentences}) == 1
    english, chinese = sentences
    assert english.endswith(".")
    assert chinese.endswith("。")


def test_every_error_in_the_source_has_a_sentence() -> None:
    """A code without one would be shown bare."""
    missing = [f"{each.place}: {each.code}" for each in raised() if each.code not in MESSAGES]
    assert missing == []


def test_every_error_in_the_source_gives_the_details_of_its_sentence() -> None:
    """A detail that is missing would show the bare code too."""
    incomplete = [
        f"{each.place}: {each.code} lacks {sorted(lacking)}"
        for each in raised()
        if each.code in MESSAGES and not each.has_more_details
        if (lacking := placeholders(MESSAGES[each.code][0]) - each.details)
    ]
    assert incomplete == []


def test_the_source_is_really_read() -> None:
    """The two tests above see the errors of many files."""
    assert len({each.place.split(":")[0] for each in raised()}) > 5


def test_a_sentence_is_filled_with_its_details() -> None:
    """Details are put in as they are, braces included."""
    assert render("not_found", "en", {"what": "{key}"}) == "There is no such {key}."
    assert render("not_found", "zh", {"what": "密钥"}) == "不存在该密钥。"


def test_wording_never_fails() -> None:
    """An unknown code or a missing detail shows the code."""
    assert render("no_such_code", "en", {}) == "no_such_code"
    assert render("not_found", "en", {}) == "not_found"


def placeholders(sentence: str) -> set[str]:
    """Return the names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def raised() -> Iterator[Raised]:
    """Yield every error that the source makes with a code that stands there as text."""
    for folder in ("services", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and _makes_error(node.func):
                    yield from _read(node, f"{path.relative_to(ROOT)}:{node.lineno}")


def _makes_error(function: ast.expr) -> bool:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in CLASSES:
            return True
        case ast.Attribute(attr="__init__", value=ast.Call(func=ast.Name(id="super"))):
            return True
    return False


def _read(node: ast.Call, place: str) -> Iterator[Raised]:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    match given.get("wording", node.args[0]):
        case ast.Constant(value=str(code)):
            details = frozenset(name for name in given if name is not None) - FIELDS
            yield Raised(place, code, details, None in given)

"""The catalogue of the console's texts is complete, in both languages, and the only place with texts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.auth import oidc_handlers
from tests.edge.console_build import LANGUAGES, SOURCES

LOCALES = SOURCES / "src" / "locales"
AREAS = ("common", "public", "account", "docs", "user", "operator")
PLURAL = re.compile(r"_(zero|one|two|few|many|other)$")
PLACEHOLDER = re.compile(r"{{\s*(\w+)[^}]*}}|</?(\w+)/?>")
PLURALS = {"en": {"one", "other"}, "zh": {"other"}}
LITERAL = re.compile(r"""(["'])((?:common:|public:|account:|docs:|user:|operator:)?[A-Za-z0-9_.-]+)\1""")
TEMPLATE = re.compile(r"`((?:common:|public:|account:|docs:|user:|operator:)?[A-Za-z0-9_.-]+\$\{[^`]*)`")
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
# Texts that a person reads, as an attribute or as a member of an object.
SPOKEN = "label|title|placeholder|description|aria-label|alt|legend|header|confirm|message|done|error"
ATTRIBUTE = re.compile(rf"""\b(?:{SPOKEN})=(?:"[^"]*[A-Za-z][^"]*"|{{"[^"]*[A-Za-z][^"]*"}})""")
MEMBER = re.compile(rf"""\b(?:{SPOKEN}): "[^"]*[A-Za-z][^"]*\"""")
# The same in every language: names of languages and of programs.
SAME = {"common.language.en", "common.language.zh", "common.version"}


def test_both_languages_have_the_same_texts() -> None:
    """No key stands in one language only, and each has the plural forms that its language knows."""
    english, chinese = (set(map(_stem, _texts(language))) for language in LANGUAGES)

    assert english == chinese
    for language in LANGUAGES:
        forms: dict[str, set[str]] = {}
        for key in _texts(language):
            if found := PLURAL.search(key):
                forms.setdefault(_stem(key), set()).add(found[1])
        assert not {key: has for key, has in forms.items() if has != PLURALS[language]}, language


def test_both_languages_have_the_same_placeholders() -> None:
    """What is put into a text, and what is marked in it, is the same in both languages, in every plural form."""
    placeholders = {
        language: {
            (_stem(key), tuple(sorted(set(PLACEHOLDER.findall(text)))))
            for key, text in _texts(language).items()
        }
        for language in LANGUAGES
    }

    assert placeholders["en"] ^ placeholders["zh"] == set()


def test_every_text_is_translated() -> None:
    """No Chinese text is the English one, but for names; none is empty."""
    english, chinese = _texts("en"), _texts("zh")

    assert not [key for key, text in {**english, **chinese}.items() if not text.strip()]
    same = {key for key, text in chinese.items() if english.get(key) == text and re.search("[a-z]{3}", text)}
    assert same <= SAME


@pytest.mark.parametrize("area", AREAS)
def test_every_text_is_used(area: str) -> None:
    """Each key is written somewhere in the sources, or matches a key that is put together there. (A key that is used and not in the
    catalogue does not compile.)"""
    literals: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for path in _sources():
        own = _area_of(path)
        code = path.read_text()
        for _, name in LITERAL.findall(code):
            literals |= {name.replace(":", "."), f"{own}.{name}"}
        for template in TEMPLATE.findall(code):
            named = template.replace(":", ".", 1) if re.match(r"[a-z]+:", template) else f"{own}.{template}"
            patterns.append(_pattern(named))
    unused = [
        key
        for key in sorted({_stem(key) for key in _texts("en") if key.startswith(f"{area}.")})
        if key not in literals and not any(pattern.fullmatch(key) for pattern in patterns)
    ]

    assert not unused


def test_every_reason_to_be_sent_back_by_a_provider_has_its_sentence() -> None:
    """Only a code comes back in the address, so the sentence is here."""
    code = Path(oidc_handlers.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'(?:Forbidden|InvalidRequest)\("(\w+)"', code))

    assert codes
    assert {f"account.providerFailed.{each}" for each in codes} <= set(_texts("en"))


def test_no_text_is_written_into_the_sources() -> None:
    """Labels, titles and messages come from the catalogue. (Text between tags is found by the linter.)"""
    found = [
        f"{path.relative_to(SOURCES)}: {line.strip()}"
        for path in _sources()
        for line in path.read_text().splitlines()
        if ATTRIBUTE.search(line) or MEMBER.search(line) or CHINESE.search(line)
    ]

    assert not found


def _texts(language: str) -> dict[str, str]:
    """Every text of a language by `<area>.<key>`."""
    texts: dict[str, str] = {}
    for area in AREAS:
        content = json.loads((LOCALES / language / f"{area}.json").read_text())
        texts |= {f"{area}.{key}": text for key, text in _flat(content)}
    return texts


def _flat(content: dict[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            assert isinstance(value, str), f"{before}{name}"
            yield before + name, value


def _stem(key: str) -> str:
    """The key without its plural form."""
    return PLURAL.sub("", key)


def _sources() -> list[Path]:
    paths = [*(SOURCES / "src").rglob("*.ts"), *(SOURCES / "src").rglob("*.tsx")]
    return sorted(path for path in paths if path.name != "types.ts" and "snippets" not in path.parts)


def _area_of(path: Path) -> str:
    parts = path.relative_to(SOURCES / "src").parts
    return parts[1] if parts[0] == "pages" else "common"


def _pattern(template: str) -> re.Pattern[str]:
    """A template literal as a pattern: what is put in may be any one part of a key."""
    parts = re.split(r"\$\{[^}]*\}", template)
    return re.compile(r"[A-Za-z0-9_-]+".join(map(re.escape, parts)))

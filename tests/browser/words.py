"""The texts of the console by their keys, in each language: tests find things by what people read."""

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

Language = Literal["en", "zh"]

LANGUAGES: tuple[Language, ...] = ("en", "zh")
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
CATALOGUES = Path(__file__).parent.parent.parent / "console" / "src" / "locales"
_PLACEHOLDER = re.compile(r"{{\s*(\w+)(?:\s*,[^}]*)?\s*}}")


class Words:
    """The texts of one language. A key names its area and its path, such as `common:navigation.keys`."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = _texts(language)

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its placeholders filled in. Raises: KeyError when there is none, or a value is missing."""
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), self._texts[key])

    def pattern(self, key: str) -> re.Pattern[str]:
        """Return what a text looks like, whatever stands for its placeholders."""
        literal = [re.escape(part) for part in _PLACEHOLDER.split(self._texts[key])[::2]]
        return re.compile("^" + ".+".join(literal) + "$")


@cache
def _texts(language: Language) -> dict[str, str]:
    texts = {}
    for file in sorted((CATALOGUES / language).glob("*.json")):
        for path, text in _leaves(msgspec.json.decode(file.read_bytes())):
            texts[f"{file.stem}:{path}"] = text
    return texts


def _leaves(tree: dict[str, object], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, str):
            found.append((before + name, value))
        else:
            found += _leaves(msgspec.convert(value, dict[str, object]), f"{before}{name}.")
    return found

"""Characters beyond U+FFFF whose two surrogates a provider cut over two chunks, as `\\ud83d` and `\\ude00`.

A text that ends with a first half keeps it back until the next text of the same place begins with the second.
"""

from services.dispatcher.usage import Json

_TEXTS = ("content", "reasoning_content", "reasoning", "thinking", "refusal")


class Halves:
    """The first halves that wait for their second: while `waiting` holds any, the next chunk must be joined."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[Json, ...], str] = {}

    def join(self, chunk: Json) -> None:
        """Put what waits in front of the texts of `chunk`, and keep back what they end with."""
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        for choice in choices if isinstance(choices, list) else []:
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(choice, dict) and isinstance(delta, dict):
                self._join_delta(choice.get("index"), delta)

    def _join_delta(self, index: Json, delta: dict[str, Json]) -> None:
        for name in _TEXTS:
            self._join_text((_key(index), name), delta, name)
        fragments = delta.get("tool_calls")
        for position, fragment in enumerate(fragments if isinstance(fragments, list) else []):
            function = fragment.get("function") if isinstance(fragment, dict) else None
            if isinstance(fragment, dict) and isinstance(function, dict):
                number = fragment.get("index", position)
                self._join_text((_key(index), _key(number), "arguments"), function, "arguments")

    def _join_text(self, place: tuple[Json, ...], holder: dict[str, Json], name: str) -> None:
        text = holder.get(name)
        if not isinstance(text, str) or not text:
            return
        text = self.waiting.pop(place, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            self.waiting[place] = text[-1]
            text = text[:-1]
        holder[name] = text


def without_surrogates(text: str) -> str:
    """Return `text` with each pair of surrogates as its character, and each single one as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _key(value: Json) -> Json:
    return value if isinstance(value, int | str) else None

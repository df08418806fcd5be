"""What of a chat completion request a tokenizer reads: its text, without images and audio in base64."""

from typing import Any

import msgspec

_DATA = "data:image/"  # as the edge knows an image; another data URL may be text
_TOLD = ("tools", "functions", "response_format")  # what else of a request the model is told, as some text
_SPOKEN = ("name", "refusal", "reasoning_content", "reasoning")


class Prompt:
    """A request as it can be counted. Its media are not in its text, but counted as `images` and `audio_characters` of base64."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.images = 0
        self.audio_characters = 0
        self._document = document
        messages = document.get("messages")
        self._messages = (
            [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
        )
        for message in self._messages:
            for part in _parts(message):
                self._take_media(part)

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return len(self._messages)

    def everything(self) -> bytes:
        """Return all of the request that can be text for the model, and more: the whole document, as short as JSON can be."""
        return msgspec.json.encode(self._document)

    def text(self) -> str:
        """Return the text that a chat template would write, without what it puts around each message."""
        texts = [text for message in self._messages for text in _texts(message)]
        texts += [_json(self._document[name]) for name in _TOLD if self._document.get(name)]
        return "\n".join(texts)

    def _take_media(self, part: dict[str, Any]) -> None:
        image, audio = part.get("image_url"), part.get("input_audio")
        if isinstance(image, dict):
            self.images += 1
            if str(image.get("url"))[: len(_DATA)].lower() == _DATA:
                image["url"] = ""
        if isinstance(audio, dict) and isinstance(audio.get("data"), str):
            self.audio_characters += len(audio["data"])
            audio["data"] = ""


def read_prompt(body: bytes) -> Prompt | None:
    """Return the prompt of a chat completion request, None when the body cannot be read as a whole."""
    try:
        return Prompt(msgspec.json.decode(body, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _texts(message: dict[str, Any]) -> list[str]:
    spoken = [message.get("content"), *(part.get("text") for part in _parts(message))]
    spoken += [message.get(name) for name in _SPOKEN]
    texts = [text for text in spoken if text and isinstance(text, str)]
    return texts + [_json(message[name]) for name in ("tool_calls", "function_call") if message.get(name)]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()

"""What a model said, in the members of the chat API: a delta or a message of any provider.

Text stands in `content`, what the model thought in `reasoning_content`. A provider's own member for it stays beside that.
"""

from services.dispatcher.delivered import DeliveredText
from services.dispatcher.usage import Json

_Output = dict[str, Json]

# Where text stands inside a content part or a tool call, of any provider.
_TEXT_MEMBERS = ("text", "thinking", "function", "custom", "name", "arguments", "input", "transcript")
_THOUGHTS = ("reasoning", "thinking", "reasoning_details")
_MEASURED = ("content", "refusal", "tool_calls", "function_call", "audio", "images")


def flatten(output: _Output) -> None:
    """Put the text of `output` into `content` and its thoughts into `reasoning_content`, as plain strings."""
    content = output.get("content")
    if content is not None and not isinstance(content, str):
        text, thoughts, images = _parts_of(content)
        output["content"] = text
        if thoughts and not output.get("reasoning_content"):
            output["reasoning_content"] = thoughts
        if images and not output.get("images"):
            output["images"] = images
    if not output.get("reasoning_content"):
        thoughts = next((text for name in _THOUGHTS if (text := text_in(output.get(name)))), "")
        if thoughts:
            output["reasoning_content"] = thoughts


def text_in(value: Json) -> str:
    """Return the text of a string, of a content part, or of a list of them; what carries none is left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_in(part) for part in value)
    if isinstance(value, dict):
        return next(
            (text for name in ("text", "summary", "thinking") if (text := text_in(value.get(name)))), ""
        )
    return ""


def measure(output: _Output, delivered: DeliveredText) -> bool:
    """Add the text of `output` to `delivered`; return whether there is any output."""
    waiting: list[Json] = [value for name in _MEASURED if (value := output.get(name))]
    thoughts = output.get("reasoning_content") or output.get("reasoning")
    if thoughts:
        waiting.insert(1 if output.get("content") else 0, thoughts)
    has_output = bool(waiting)
    waiting.reverse()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            delivered.add(value)
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            waiting += [value[name] for name in reversed(_TEXT_MEMBERS) if name in value]
    return has_output


def _parts_of(content: Json) -> tuple[str, str, list[Json]]:
    """Return the text, the thoughts and the images of a content that is a list of parts, or one part."""
    texts, thoughts = [], []
    images: list[Json] = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("thinking", "reasoning"):
            thoughts.append(text_in(part))
        elif isinstance(part, dict) and kind == "image_url":
            images.append({"index": len(images), **part})
        else:
            texts.append(text_in(part))
    return "".join(texts), "".join(thoughts), images

"""The bound on prompt tokens: by bytes of text, and by what vendors charge for media."""

import base64

import pytest

from services.edge.openai import (
    IMAGE_TOKENS,
    TOOLS_TOKENS,
    parse,
)
from tests.edge.chat_bodies import (
    MINIMAL,
    Json,
    bound,
    encoded,
    message,
    part,
)


def test_text_counts_a_token_for_each_byte() -> None:
    """Nothing is taken off a body of text, in whatever language and wherever it stands."""
    for body in (MINIMAL, message(role="system", content="汉字" * 50), part(type="text", text="x" * 500)):
        assert bound(body) == len(body)


def test_an_image_counts_by_itself_and_not_by_its_bytes() -> None:
    """As data or behind a URL, an image costs the same bound."""
    data = base64.b64encode(b"\0" * 300_000).decode()
    for prefix in ("data:image/png;base64,", "DATA:image/jpeg;base64,"):
        body = part(type="image_url", image_url={"url": prefix + data, "detail": "high"})
        assert bound(body) == len(body) - len(prefix + data) + IMAGE_TOKENS
    body = part(type="image_url", image_url={"url": "https://example.com/cat.png"})
    assert bound(body) == len(body) + IMAGE_TOKENS


def test_each_image_of_each_message_counts() -> None:
    """Two messages with two images are four."""
    image: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = encoded(messages=[{"role": "user", "content": [image, image]}] * 2)
    assert bound(body) == len(body) + 4 * (IMAGE_TOKENS - len("data:image/png;base64,AAAA"))


def test_audio_counts_by_its_length() -> None:
    """At most a token for 41 characters of base64: 32 tokens/s at 8 kbit/s."""
    data = base64.b64encode(b"\0" * 30_000).decode()
    body = part(type="input_audio", input_audio={"data": data, "format": "mp3"})
    assert bound(body) == len(body) - 40_000 + 40_000 // 41 + 1


@pytest.mark.parametrize(
    "members",
    [
        {"type": "file", "file": {"file_data": "data:text/plain;base64," + "QUFB" * 1_000}},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64," + "QUFB" * 1_000}},
        {"type": "image_url", "image_url": {"url": "x" * 4_000}},
        {"type": "video_url", "video_url": {"url": "https://example.com/film.mp4"}},
    ],
)
def test_what_may_be_text_or_pages_counts_by_its_bytes_and_as_an_image(members: dict[str, Json]) -> None:
    """A file may hold a token in each byte; nothing is taken off on the client's word."""
    body = part(**members)
    assert bound(body) == len(body) + IMAGE_TOKENS


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_tools_add_what_a_vendor_says_about_them(name: str) -> None:
    """A prompt of the vendor's own comes with them, and only with them."""
    tools: Json = [{"type": "function", "name": "f"}]
    body = encoded(**{name: tools})
    assert bound(body) == len(body) + TOOLS_TOKENS
    assert bound(encoded(**{name: []})) == len(encoded(**{name: []}))


def test_escapes_in_media_are_not_taken_off_twice() -> None:
    """Base64 written with escapes has more bytes than characters; the difference stays in the bound."""
    body = part(type="image_url", image_url={"url": "data:image/png;base64,////"}).replace(
        b"////", b"\\/" * 4
    )
    assert parse(body).media_bytes == len("data:image/png;base64,////")
    assert bound(body) == len(body) - parse(body).media_bytes + IMAGE_TOKENS

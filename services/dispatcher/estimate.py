"""How many tokens a call used, where the upstream does not say: an estimate, and marked as one.

The prompt is counted from the request, the output from what was delivered, with the tokenizer of the model or the nearest there is.
It is counted when the answer is over, and only if the usage is missing.
"""

import math

import msgspec

from services.dispatcher.delivered import DeliveredText
from shared.contracts import billing
from shared.contracts.dispatcher import ChatCall
from shared.tokens import Prompt, Tokenizer, off_loop, read_prompt, tokenizer_of

COUNTED_BYTES_MAX = (
    256 * 1024
)  # of a prompt; 10 ms of one core; beyond it the rest counts as what was counted
BYTES_PER_TOKEN = 4  # where nothing can be counted

# What is not text: OpenAI's chat template puts 3 tokens around each message and after the last; GPT-4o sees an image of a megapixel
# as 765 tokens, Claude as 1,600; Gemini hears 32 tokens in a second, which at 128 kbit/s is 21,333 characters of base64.
MESSAGE_TOKENS = 3
REQUEST_TOKENS = 3
IMAGE_TOKENS = 1_000
AUDIO_CHARACTERS_PER_TOKEN = 667


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as they were counted here, and how: `tiktoken/…`, or `bytes`."""

    usage: billing.Usage
    counted_by: str


async def estimate(call: ChatCall, upstream_model: str, body: bytes, delivered: DeliveredText) -> Estimate:
    """Return what the call used as far as that can be told from its body and from what was delivered."""
    tokenizer = tokenizer_of(upstream_model, call.model)
    size_bytes = len(body) + len(delivered.kept)
    usage = await off_loop(tokenizer, size_bytes, lambda: counted(tokenizer, body, delivered))
    if usage is None:
        return Estimate(usage=by_bytes(call, delivered), counted_by="bytes")
    return Estimate(usage=usage, counted_by=tokenizer.name)


def by_bytes(call: ChatCall, delivered: DeliveredText) -> billing.Usage:
    """Return an estimate for which nothing has to be counted."""
    return billing.Usage(
        input_tokens=math.ceil(call.input_tokens_bound / BYTES_PER_TOKEN),
        output_tokens=math.ceil(delivered.size_bytes / BYTES_PER_TOKEN),
    )


def counted(tokenizer: Tokenizer, body: bytes, delivered: DeliveredText) -> billing.Usage | None:
    """Return an estimate by `tokenizer`, None when `body` cannot be read as a whole. Takes some milliseconds."""
    try:
        prompt = read_prompt(body)
        text = b"" if prompt is None else prompt.text().encode("utf-8", "surrogatepass")
    except RecursionError:
        return None
    if prompt is None:
        return None
    return billing.Usage(
        input_tokens=_scaled(tokenizer, text[:COUNTED_BYTES_MAX], len(text)) + _beside_text(prompt),
        output_tokens=_scaled(tokenizer, bytes(delivered.kept), delivered.size_bytes),
    )


def _scaled(tokenizer: Tokenizer, beginning: bytes, size_bytes: int) -> int:
    """Return the tokens of a text of `size_bytes` that has this beginning, at the beginning's bytes for each token."""
    if not beginning:
        return 0
    return math.ceil(tokenizer.count(beginning) * size_bytes / len(beginning))


def _beside_text(prompt: Prompt) -> int:
    return (
        prompt.messages * MESSAGE_TOKENS
        + REQUEST_TOKENS
        + prompt.images * IMAGE_TOKENS
        + math.ceil(prompt.audio_characters / AUDIO_CHARACTERS_PER_TOKEN)
    )

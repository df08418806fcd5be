"""A tighter bound for the input than one token for each byte: the prompt counted by the model's own tokenizer.

It is asked for only when a request was refused for want of money or of tokens, because counting takes longer than all the rest.
"""

from services.edge.openai import ChatRequest
from shared.errors import RelayError
from shared.money import usd_from_nano
from shared.tokens import Tokenizer, off_loop, read_prompt, tokenizer_of

# Refusals that a lower bound may turn into a yes.
WORTH_COUNTING = frozenset(
    {
        "insufficient_balance",
        "request_too_expensive",
        "spend_limit_reached",
        "balance_held",
        "spend_limit_held",
        "tokens_per_minute_exceeded",
    }
)
COUNTED_BYTES_MAX = 1024 * 1024  # of text: some 50 ms of one core

# What may be added to the text by whoever serves the model, and is not in the body:
#   a message: OpenAI's chat template has 3 tokens for each, 4 with a name; the JSON around it, which is counted, pays for more;
#   a request: gpt-oss writes some 70 tokens of its own before the first message, OpenAI 3 after the last;
#   the margin is for all that is not known here, such as a newer version of the tokenizer.
MESSAGE_TOKENS = 4
REQUEST_TOKENS = 128
MARGIN_PERCENT = 10

NOTHING_USD = usd_from_nano(0)


def counted_input_bound(tokenizer: Tokenizer, body: bytes, request: ChatRequest) -> int | None:
    """Return a number of tokens that the prompt of `request` does not exceed, None when `body` cannot be read as a whole.

    Counted is everything in the body, the JSON included, but media in base64: they count by `request.extra_tokens`, as ever.
    """
    try:
        prompt = read_prompt(body)
        counted = None if prompt is None else tokenizer.count(prompt.everything())
    except RecursionError:
        return None
    if prompt is None or counted is None:
        return None
    with_margin = -(-counted * (100 + MARGIN_PERCENT) // 100)
    return with_margin + prompt.messages * MESSAGE_TOKENS + REQUEST_TOKENS + request.extra_tokens


async def tighter_input_bound(refusal: RelayError, body: bytes, request: ChatRequest, bound: int) -> int:
    """Return a bound for the input below `bound`, with which to ask billing once more. Raises: `refusal` if there is none."""
    tokenizer = tokenizer_of(request.model)
    text_bytes = len(body) - request.media_bytes
    if refusal.code not in WORTH_COUNTING or not tokenizer.is_known or text_bytes > COUNTED_BYTES_MAX:
        raise refusal
    if refusal.details.get("available_usd") == NOTHING_USD:  # who has no money shall not cost any work
        raise refusal
    counted = await off_loop(tokenizer, len(body), lambda: counted_input_bound(tokenizer, body, request))
    if counted is None or counted >= bound:
        raise refusal
    return counted

"""Tokens of text: how many there are, by which tokenizer, counted without holding up the event loop.

What is counted here is for bounds and estimates. A charge goes by the usage that the upstream reports.
"""

from shared.tokens.counting import Tokenizer, off_loop, tokenizer_of
from shared.tokens.prompt import Prompt, read_prompt

__all__ = ["Prompt", "Tokenizer", "off_loop", "read_prompt", "tokenizer_of"]

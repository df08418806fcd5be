"""Counting with tiktoken, whose vocabularies are shipped beside this module: nothing is fetched, nothing is read at import.

A vocabulary takes 0.3 s and 85 MB to load, so it is loaded in the worker thread, and only when something is counted that needs it.
"""

import asyncio
import base64
import hashlib
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from tiktoken import Encoding

ON_LOOP_BYTES_MAX = 8192  # of text: a quarter of a millisecond, and a whole one of the worst text
WAITING_MAX = 32  # counts before the one worker: a second or two of them
PIECE_CHARACTERS = 64 * 1024

T = TypeVar("T")

log = logging.getLogger(__name__)

_VOCABULARY = Path(__file__).parent / "vocabulary"

# Each encoding's file by its sum, and how text is split before its pieces become tokens. Both as in tiktoken 0.14
# (tiktoken_ext/openai_public.py, MIT), which would fetch the file; a test compares the two.
_ENCODINGS = {
    "o200k_base": (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
    "cl100k_base": (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}


class VocabularyDamaged(Exception):
    """A shipped vocabulary is not what was published: the installation is incomplete or was changed."""


class Tokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """How the tokens of a model are counted: by `encoding`, times `percent` where that is not the model's own.

    `is_known` says that the count is the model's own, and not an estimate.
    """

    encoding: str
    percent: int = 100
    is_known: bool = False

    @property
    def name(self) -> str:
        """What a receipt says of how something was counted."""
        factor = "" if self.percent == 100 else f"*{self.percent}%"
        return f"tiktoken/{self.encoding}{factor}"

    def count(self, text: str | bytes) -> int:
        """Return how many tokens `text` is; never more than its bytes in UTF-8, of which each token has one at least.

        Takes 30 ms for a megabyte, and loads the vocabulary first: see `off_loop`.
        """
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        text = data.decode("utf-8", "replace")
        encoding = _encoding(self.encoding)
        # In pieces, so that neither the list of tokens nor what the regular expression remembers grows with the text.
        pieces = range(0, len(text), PIECE_CHARACTERS)
        tokens = sum(
            len(encoding.encode_ordinary(text[start : start + PIECE_CHARACTERS])) for start in pieces
        )
        return min(-(-tokens * self.percent // 100), len(data))


# The models whose tokens can be counted exactly, by how their names begin: OpenAI's, as tiktoken itself has them.
_KNOWN = {
    "o200k_base": ("gpt-5", "gpt-4.5", "gpt-4.1", "gpt-4o", "chatgpt-4o", "o1", "o3", "o4-mini", "gpt-oss"),
    "cl100k_base": ("gpt-4", "gpt-3.5", "gpt-35"),
}
# Other vendors publish no tokenizer, or one of their own. Against o200k_base on this repository's documents, code, JSON and Chinese
# messages, Anthropic's last published vocabulary makes 1.10 to 1.19 tokens of one, and its newer ones are said to make more;
# DeepSeek's makes 0.84 to 1.10. For the rest 1.2 is a guess on the safe side.
_FACTORS = {"claude": 125, "deepseek": 110}
_FACTOR_OF_OTHERS = 120


def tokenizer_of(*names: str) -> Tokenizer:
    """Return the tokenizer of a model that goes by `names`: of the first one that says which family it is of."""
    for name in names:
        base = name.lower().rpartition("/")[2].removeprefix("ft:")
        for encoding, families in _KNOWN.items():
            if _belongs(base, families):
                return Tokenizer(encoding=encoding, is_known=True)
        for family, percent in _FACTORS.items():
            if _belongs(base, (family,)):
                return Tokenizer(encoding="o200k_base", percent=percent)
    return Tokenizer(encoding="o200k_base", percent=_FACTOR_OF_OTHERS)


async def off_loop(tokenizer: Tokenizer, size_bytes: int, work: Callable[[], T]) -> T | None:
    """Return what `work` returns, which counts about `size_bytes` of text with `tokenizer`, or None when it cannot be counted.

    That is when too much waits already, or the vocabulary is not there, which is logged. `work` runs in the process's one worker
    thread, so that counting takes one core at most, unless it is done in a moment.
    """
    if size_bytes <= ON_LOOP_BYTES_MAX and tokenizer.encoding in _loaded:
        return work()
    try:
        return await _worker.run(work)
    except VocabularyDamaged as error:
        log.error("tokens cannot be counted: %s", error)
        return None


class _Worker:
    """One thread, started when it is first needed, and a bounded queue before it."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T | None:
        if self._waiting >= WAITING_MAX:
            return None
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


_worker = _Worker()
_loaded: "dict[str, Encoding]" = {}
_loading = threading.Lock()


def _belongs(name: str, families: tuple[str, ...]) -> bool:
    """Return whether `name` is of one of the families: `gpt-4-turbo` is of `gpt-4`, and `gpt-4o` is not."""
    return any(re.match(rf"{re.escape(family)}(?![a-z0-9])", name) for family in families)


def _encoding(name: str) -> "Encoding":
    with _loading:
        if name not in _loaded:
            _loaded[name] = _load(name)
        return _loaded[name]


def _load(name: str) -> "Encoding":
    from tiktoken import Encoding

    digest, pattern = _ENCODINGS[name]
    try:
        data = (_VOCABULARY / f"{name}.tiktoken").read_bytes()
    except OSError as error:
        raise VocabularyDamaged(f"The vocabulary {name} cannot be read. Install Relay again.") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise VocabularyDamaged(f"The vocabulary {name} is damaged. Install Relay again.")
    lines = (line.split() for line in data.splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    # Special tokens are left out: in a prompt they are text like any other.
    return Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

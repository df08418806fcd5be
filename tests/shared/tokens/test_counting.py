"""Counting: what tiktoken itself counts, never more tokens than bytes, and never on the event loop for long."""

import asyncio
import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import environment
from shared.tokens import Tokenizer, counting, off_loop, tokenizer_of

O200K = Tokenizer(encoding="o200k_base", is_known=True)
CL100K = Tokenizer(encoding="cl100k_base", is_known=True)
ESTIMATED = Tokenizer(encoding="o200k_base", percent=125)
PUBLISHED = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
SAMPLES = (
    "Hello, world!",
    "  It's 12345 times\r\n\r\n\tthe SAME thing;  isn't it?\n",
    "汉字和标点，还有“引号”。",
    "naïve Ελληνικά हिन्दी עברית 🤷🏽‍♀️",
    'def f(x: int) -> str:\n    return f"{x!r}"\n',
    "<|endoftext|> is text",
    "",
)
# Counts with tiktoken's own definitions, in a process of its own: its cache directory is a variable of the environment.
REFERENCE = """
import json, sys, tiktoken
texts = json.load(sys.stdin)
print(json.dumps([[len(tiktoken.get_encoding(name).encode_ordinary(text)) for text in texts]
                  for name in ("o200k_base", "cl100k_base")]))
"""


def test_the_counts_are_those_of_tiktoken(tmp_path: Path) -> None:
    """With the vocabularies in its own cache, under its own names, it counts the same: the sums and patterns here are its own."""
    for name in ("o200k_base", "cl100k_base"):
        cached = tmp_path / hashlib.sha1(PUBLISHED.format(name).encode()).hexdigest()
        cached.write_bytes((Path(counting.__file__).parent / f"vocabulary/{name}.tiktoken").read_bytes())

    done = subprocess.run(
        [sys.executable, "-c", REFERENCE], input=json.dumps(SAMPLES), capture_output=True, text=True,
        env=environment(TIKTOKEN_CACHE_DIR=str(tmp_path)), check=True,
    )  # fmt: skip

    assert json.loads(done.stdout) == [
        [tokenizer.count(text) for text in SAMPLES] for tokenizer in (O200K, CL100K)
    ]
    assert len(list(tmp_path.iterdir())) == 2  # nothing was fetched


@given(st.text() | st.text(alphabet="a \n\r\t'.0Ж汉😀", max_size=400))
def test_a_text_has_no_more_tokens_than_bytes(text: str) -> None:
    """Whatever it is made of, and with the factor of an estimate as well."""
    for tokenizer in (O200K, CL100K, ESTIMATED):
        assert 0 <= tokenizer.count(text) <= len(text.encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_bytes_have_no_more_tokens_than_bytes(data: bytes) -> None:
    """Also those that are no text: an invalid byte counts as the character that stands for it."""
    assert ESTIMATED.count(data) <= len(data)


@pytest.mark.parametrize("character", ["a", " ", "\n", "汉", "😀", "'", "\u0301"])
def test_the_worst_texts_are_counted(character: str) -> None:
    """200,000 equal characters, which a naive merge takes minutes for, and a naive pattern more stack than there is."""
    assert 0 < O200K.count(character * 200_000) <= 200_000 * len(character.encode())


def test_an_estimate_has_its_factor() -> None:
    """Rounded up."""
    text = "a factor is for those whose tokenizer nobody knows"

    assert ESTIMATED.count(text) == -(-O200K.count(text) * 125 // 100)


@pytest.mark.parametrize(
    ("names", "name", "is_known"),
    [
        (("gpt-4o-mini",), "tiktoken/o200k_base", True),
        (("gpt-4.1-nano-2025-04-14",), "tiktoken/o200k_base", True),
        (("openai/gpt-5.2",), "tiktoken/o200k_base", True),
        (("GPT-4O",), "tiktoken/o200k_base", True),
        (("o3-mini",), "tiktoken/o200k_base", True),
        (("ft:gpt-4o-mini:acme::1",), "tiktoken/o200k_base", True),
        (("gpt-4-turbo",), "tiktoken/cl100k_base", True),
        (("gpt-3.5-turbo",), "tiktoken/cl100k_base", True),
        (("gpt-6-sol",), "tiktoken/o200k_base*120%", False),
        (("o365-assistant",), "tiktoken/o200k_base*120%", False),
        (("claude-sonnet-4-5",), "tiktoken/o200k_base*125%", False),
        (("anthropic/claude-haiku-4-5",), "tiktoken/o200k_base*125%", False),
        (("deepseek-v4-pro",), "tiktoken/o200k_base*110%", False),
        (("gemini-2.5-pro",), "tiktoken/o200k_base*120%", False),
        (("my-deployment", "gpt-4"), "tiktoken/cl100k_base", True),
        (("claude-opus-5", "gpt-4"), "tiktoken/o200k_base*125%", False),
        ((), "tiktoken/o200k_base*120%", False),
    ],
)
def test_a_name_says_which_tokenizer(names: tuple[str, ...], name: str, is_known: bool) -> None:
    """The first name that tells its family; a family is a whole word, so a new generation is not taken for an old one."""
    tokenizer = tokenizer_of(*names)

    assert (tokenizer.name, tokenizer.is_known) == (name, is_known)


def test_a_damaged_vocabulary_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sum is checked before it is read."""
    (tmp_path / "o200k_base.tiktoken").write_bytes(b"YQ== 0\n")
    monkeypatch.setattr(counting, "_VOCABULARY", tmp_path)
    monkeypatch.setattr(counting, "_loaded", {})

    with pytest.raises(counting.VocabularyDamaged):
        O200K.count("a")


def test_nothing_is_loaded_by_an_import() -> None:
    """Neither tiktoken nor a vocabulary: a process that counts nothing pays nothing."""
    code = "import sys, shared.tokens.counting as c; print('tiktoken' in sys.modules, len(c._loaded))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "0"]


async def test_much_text_is_counted_in_the_worker() -> None:
    """And little text, once the vocabulary is there, where it is asked for."""
    O200K.count("loaded")
    here = threading.current_thread()

    assert await off_loop(O200K, 10, threading.current_thread) is here
    away = await off_loop(O200K, counting.ON_LOOP_BYTES_MAX + 1, threading.current_thread)
    assert away is not None
    assert away.name.startswith("tokens")


async def test_the_first_count_is_in_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the text is: a vocabulary must be loaded for it."""
    monkeypatch.setattr(counting, "_loaded", {})

    thread = await off_loop(O200K, 1, threading.current_thread)

    assert thread is not None
    assert thread is not threading.current_thread()


async def test_what_waits_to_be_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait gets no answer, at once; the others get theirs."""
    monkeypatch.setattr(counting, "WAITING_MAX", 3)
    may_go = threading.Event()

    def wait() -> bool:
        return may_go.wait(30)

    waiting = [asyncio.create_task(off_loop(O200K, 10**6, wait)) for _ in range(3)]
    await asyncio.sleep(0)

    assert await off_loop(O200K, 10**6, wait) is None
    may_go.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await off_loop(O200K, 10**6, wait) is True

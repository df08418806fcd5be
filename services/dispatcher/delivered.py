"""What the client got of an answer, for the estimate of its tokens: how much text, and how it begins. Pure."""

import msgspec

KEPT_BYTES_MAX = 32 * 1024  # of each answer that runs: 8,000 tokens of English


class DeliveredText(msgspec.Struct, gc=False):
    """The text of an answer: `size_bytes` of UTF-8 in all, of which the first ones are `kept`."""

    size_bytes: int = 0
    kept: bytearray = msgspec.field(default_factory=bytearray)

    def add(self, text: str) -> None:
        """Take note of more text."""
        data = text.encode("utf-8", "surrogatepass")
        self.size_bytes += len(data)
        free = KEPT_BYTES_MAX - len(self.kept)
        if free > 0:
            self.kept += data[:free]

    def truncate(self, size_bytes: int) -> None:
        """Forget all but the first `size_bytes`."""
        self.size_bytes = min(self.size_bytes, size_bytes)
        del self.kept[size_bytes:]

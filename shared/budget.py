"""A budget of further attempts over all traffic, so that an outage does not multiply its own load.

Each request earns a share of one attempt, and each second some, up to what `burst` holds; each further attempt takes one. So
further attempts are at most that share of the requests, and a few at any time (the retry budget of Finagle and of Google's SRE
book, chapter 21).
"""


class Budget:
    """Further attempts that may be made. `now` is any clock in seconds that does not go back."""

    def __init__(self, *, share: float, per_second: float, burst: float, now: float) -> None:
        self._share = share
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at = now

    def earn(self, now: float) -> None:
        """Count one request."""
        self._refill(now)
        self._left = min(self._burst, self._left + self._share)

    def has_some(self, now: float) -> bool:
        """Return whether one further attempt may be made."""
        self._refill(now)
        return self._left >= 1

    def take(self, now: float) -> bool:
        """Take one further attempt; return whether there was one."""
        if not self.has_some(now):
            return False
        self._left -= 1
        return True

    def _refill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now

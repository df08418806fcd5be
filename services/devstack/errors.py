"""What the launchers of the embedded servers raise."""


class ServerNotStarted(Exception):
    """An embedded server does not run; `str()` is one sentence that says why and what to do."""

"""The console's built files, as they lie in `services/edge/console/`, and the page that every path of the console begins with.

A file under `assets/` has the hash of its content in its name and may be kept for ever; the page itself is asked for each time.
What compresses is compressed once and kept (a few MB in all).
"""

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from services.edge.security import SECURITY_HEADERS, hsts

FOLDER = Path(__file__).parent / "console"
INDEX = "index.html"
COMPRESSED = frozenset({".js", ".css", ".html", ".svg", ".json", ".webmanifest", ".txt"})
LEAST_COMPRESSED_BYTES = 512
_FOR_EVER = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    kind: str
    body: bytes
    zipped: bytes | None
    tag: str
    keeping: str


class Pages:
    """Answers requests for the console's files."""

    def __init__(self, public_url: str, folder: Path = FOLDER) -> None:
        self._headers = [*SECURITY_HEADERS, *hsts(public_url)]
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._names = frozenset(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )

    @property
    def names(self) -> frozenset[str]:
        """The paths of all files, below the root."""
        return self._names

    @property
    def is_built(self) -> bool:
        """Whether there is a console to show."""
        return INDEX in self._names

    def is_wanted(self, request: Request) -> bool:
        """Whether a browser that went to an unknown path is shown the console, which knows its own paths."""
        return (
            self.is_built
            and request.method in ("GET", "HEAD")
            and "text/html" in request.headers.get("accept", "")
            and not request.scope["path"].startswith(("/api/", "/v1/", "/assets/"))
        )

    def answer(self, request: Request, name: str = INDEX) -> Response:
        """Return the file `name`, which is one of `names`; 304 when the browser has it."""
        file = self._file(name)
        headers = {"cache-control": file.keeping, "etag": file.tag, "vary": "accept-encoding"}
        if file.tag in request.headers.get("if-none-match", ""):
            return self._secured(Response(status_code=304, headers=headers))
        body = file.body
        if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            body = file.zipped
            headers["content-encoding"] = "gzip"
        return self._secured(Response(body, headers=headers, media_type=file.kind))

    def secured(self, text: str, kind: str) -> Response:
        """Return `text` with the headers of every page."""
        return self._secured(Response(text, media_type=kind, headers={"cache-control": "no-cache"}))

    def _secured(self, response: Response) -> Response:
        response.raw_headers = [*response.raw_headers, *self._headers]
        return response

    def _file(self, name: str) -> _File:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = _read(self._folder / name, is_kept=name.startswith("assets/"))
        return file


def _read(path: Path, *, is_kept: bool) -> _File:
    body = path.read_bytes()
    zipped = None
    if path.suffix in COMPRESSED and len(body) >= LEAST_COMPRESSED_BYTES:
        zipped = gzip.compress(body, compresslevel=9, mtime=0)
    return _File(
        kind=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        body=body,
        zipped=zipped,
        tag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        keeping=_FOR_EVER if is_kept else "no-cache",
    )

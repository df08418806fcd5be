"""Issuers for the tests: one that speaks OpenID Connect as it should, and one that says whatever it is told to."""

import json
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID = "relay"
CLIENT_SECRET = "the client's secret"


# In a process of its own: it stands on a part of Authlib that warns of its end, and warnings are errors here.
_SERVE = """
from oidc_provider_mock import run_server_in_thread
with run_server_in_thread() as server:
    print(server.server_port, flush=True)
    input()
"""


@contextmanager
def honest_issuer() -> Iterator[str]:
    """Yield the address of an issuer that takes whoever signs in there."""
    command = [sys.executable, "-W", "ignore", "-c", _SERVE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://localhost:{int(process.stdout.readline())}"
        process.stdin.write("\n")
        process.stdin.close()


class Liar:
    """An issuer whose every answer can be changed. `claims` go into its ID tokens, `signed_by` signs them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.signed_by = self.key
        self.header: dict[str, Any] = {"alg": "RS256"}
        self.is_signing = True
        self.claims: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], str]] = []

    def answer(self, path: str) -> Any:
        """Return what is answered at `path`, None for nothing."""
        usual: dict[str, Any] = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
            },
            "/keys": KeySet([self.key]).as_dict(),
            "/token": {"access_token": "an access token", "token_type": "Bearer", "id_token": self._token()},
        }
        return self.answers.get(path, usual.get(path))

    def times_asked(self, path: str) -> int:
        """Return how often `path` was asked for."""
        return sum(each[0] == path for each in self.asked)

    def _token(self) -> str:
        now = int(time.time())
        usual = {"iss": self.url, "sub": "7", "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims = {name: value for name, value in {**usual, **self.claims}.items() if value is not None}
        if not self.is_signing:
            parts = ({"alg": "none", "kid": "first"}, claims)
            return (
                ".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
                + "."
            )
        header = {"kid": self.signed_by.kid, **self.header}
        return jwt.encode(header, claims, self.signed_by, algorithms=["RS256", "HS256"])


@contextmanager
def liar() -> Iterator[Liar]:
    """Yield an issuer that says whatever it is told to."""
    made: Liar

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply("")

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["content-length"])).decode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _reply(self, body: str) -> None:
            path = urlsplit(self.path).path
            form = {name: values[0] for name, values in parse_qs(body).items()}
            made.asked.append((path, form, self.headers.get("authorization", "")))
            answer = made.answer(path)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Liar(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

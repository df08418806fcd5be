"""Headers that tell a browser what our pages and answers may do. Source: OWASP ASVS 5.0, 3.4; Content Security Policy Level 3."""

from services.edge.errors import Headers

# No script but our own files, and nothing of us in a frame. Styles stand inline too: the console's components set sizes and places
# as attributes, which is no way to run anything.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
]


def hsts(public_url: str) -> Headers:
    """Return the header that keeps a browser to TLS for a year, where the console is reached by TLS at all (RFC 6797)."""
    if not public_url.startswith("https://"):
        return []
    return [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")]

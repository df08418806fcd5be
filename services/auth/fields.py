"""What operators may enter: each function returns the normal form of one field, or raises InvalidRequest for it. Pure."""

import ipaddress
import re
import time
import uuid

import msgspec

from shared.contracts.site import ListActions, SiteSettings, Text
from shared.errors import InvalidRequest, NotFound
from shared.ids import ALPHABET
from shared.keys import ID_CHARACTERS
from shared.money import LARGEST_NANO_USD

NAME_CHARACTERS_MAX = 100
EMAIL_CHARACTERS_MAX = 254  # RFC 5321 §4.5.3.1.3: a path of 256 with its two brackets
PASSWORD_CHARACTERS_MIN = 8
PASSWORD_CHARACTERS_MAX = 128
_SPECIAL = frozenset(' "(),:;<>[]\\')
LIST_ENTRIES_MAX = 100
MODEL_CHARACTERS_MAX = 200
LIFETIME_SECONDS_MAX = 100 * 365 * 86_400.0
LIMIT_MAX = 1000
SEARCH_CHARACTERS_MAX = 100
PAGE_MAX = 200
_CURSOR = re.compile("([0-9]{1,17})\\.([0-9A-Za-z]{12})")
INVITATION_SECONDS_MAX = 366 * 86_400.0
TEXT_CHARACTERS_MAX = 5000  # of a notice or of what the site says about itself
CONTACT_CHARACTERS_MAX = 254


def name_of(text: str) -> str:
    """Return a name of 1 to 100 printable characters, without spaces around it."""
    name = text.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise _invalid("name", f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters")
    return name


def email_of(text: str) -> str:
    """Return an e-mail address in lower case. Whether it receives mail only a mail can tell.

    What needs quotes (RFC 5322 §3.2.3) is refused: no such address is in use, and a header of a message is no place to try.
    """
    email = text.strip().lower()
    local, _, domain = email.partition("@")
    is_plain = email.isprintable() and not _SPECIAL.intersection(email) and ".." not in f".{local}."
    if not (local and domain and is_plain) or "@" in domain or len(email) > EMAIL_CHARACTERS_MAX:
        raise _invalid("email", f"{text[:40]!r} is not an e-mail address")
    return email


def password_of(text: str) -> str:
    """Return a password of 8 to 128 characters as it is: no rule about which (OWASP ASVS 5.0, 6.2.1 to 6.2.5)."""
    if not PASSWORD_CHARACTERS_MIN <= len(text) <= PASSWORD_CHARACTERS_MAX:
        raise InvalidRequest(
            "password_length", param="password", least=PASSWORD_CHARACTERS_MIN, most=PASSWORD_CHARACTERS_MAX
        )
    return text


def models_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most 100 names of models, each of 1 to 200 printable characters."""
    _check_length("allowed_models", names)
    for name in names:
        if not 1 <= len(name) <= MODEL_CHARACTERS_MAX or not name.isprintable():
            raise _invalid(
                "allowed_models", f"a model name has 1 to {MODEL_CHARACTERS_MAX} printable characters"
            )
    return names


def addresses_of(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Return at most 100 IP networks in their normal form, such as `192.0.2.0/24` or `2001:db8::1/128`."""
    _check_length("allowed_addresses", networks)
    return tuple(_network_of(text) for text in networks)


def lifetime_of(seconds: float | None) -> float | None:
    """Return a lifetime of more than nothing and at most a hundred years, or None for one without end."""
    if seconds is not None and not 0 < seconds <= LIFETIME_SECONDS_MAX:
        raise _invalid("lifetime_seconds", "a lifetime is more than 0 seconds and at most 100 years")
    return seconds


def expiry_of(unix: float | None) -> float | None:
    """Return a moment (Unix seconds) within the next hundred years, or None for none."""
    now = time.time()
    if unix is not None and not now < unix <= now + LIFETIME_SECONDS_MAX:
        raise _invalid("expires", "it must lie in the future, within 100 years")
    return unix


def part_of(text: str | None) -> str | None:
    """Return what to look for, in lower case; None to look for nothing."""
    if text is None or not (sought := text.strip().lower()):
        return None
    if len(sought) > SEARCH_CHARACTERS_MAX or not sought.isprintable():
        raise _invalid(
            "search", f"what is searched for has at most {SEARCH_CHARACTERS_MAX} printable characters"
        )
    return sought


def page_of(count: int) -> int:
    """Return how many items a page has, 1 to 200."""
    if not 1 <= count <= PAGE_MAX:
        raise _invalid("limit", f"a page has 1 to {PAGE_MAX} items")
    return count


def cursor_of(text: str | None) -> tuple[int, str] | None:
    """Return where a page of keys goes on: after the key that was made at these microseconds, with this id."""
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise _invalid("cursor", "it is not what a page before gave as its next cursor")
    return int(match[1]), match[2]


def id_of(text: str, what: str) -> uuid.UUID:
    """Return the id of a `what`. Raises: NotFound when it is none, since then there is no such thing."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise NotFound("not_found", what=what) from error


def invitation_lifetime_of(seconds: float) -> float:
    """Return how long an invitation is good: more than nothing and at most a year."""
    if not 0 < seconds <= INVITATION_SECONDS_MAX:
        raise _invalid("lifetime_seconds", "an invitation is good for more than 0 seconds and at most a year")
    return seconds


def site_of(settings: SiteSettings) -> SiteSettings:
    """Return the settings of a site in their normal form."""
    if not 0 <= settings.sign_up_credit_nano_usd <= LARGEST_NANO_USD:
        raise _invalid("sign_up_credit_usd", "the credit of a sign-up is not negative")
    if settings.version < 1 or settings.version >= 2**63:
        raise _invalid("version", "the version is the one that was read")
    contact = settings.contact.strip()
    if len(contact) > CONTACT_CHARACTERS_MAX or not contact.isprintable():
        raise _invalid("contact", f"a contact has at most {CONTACT_CHARACTERS_MAX} printable characters")
    return msgspec.structs.replace(
        settings,
        name=name_of(settings.name),
        notice=_text_of("notice", settings.notice),
        about=_text_of("about", settings.about),
        contact=contact,
    )


def search_of(ask: ListActions) -> ListActions:
    """Return a question about actions whose texts can be searched for."""
    for param, text in (("action", ask.action), ("search", ask.search)):
        if text is not None and (len(text) > SEARCH_CHARACTERS_MAX or not text.isprintable()):
            raise _invalid(param, f"a search has at most {SEARCH_CHARACTERS_MAX} printable characters")
    if ask.before_id is not None and not 0 <= ask.before_id < 2**63:
        raise _invalid("cursor", "the cursor is not one of a page before")
    return ask


def limit_of(count: int) -> int:
    """Return how many items to list, 1 to 1000."""
    if not 1 <= count <= LIMIT_MAX:
        raise _invalid("limit", f"a list has 1 to {LIMIT_MAX} items")
    return count


def account_id_of(text: str) -> uuid.UUID:
    """Return the id of an account. Raises: NotFound when it is none, since then there is no such account."""
    return id_of(text, "account")


def place_of(param: str, text: str) -> uuid.UUID:
    """Return the id of a place in a list. Raises: InvalidRequest when it is none."""
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise _invalid(param, f"{param} is not an id") from error


def account_ids_of(texts: tuple[str, ...]) -> list[uuid.UUID]:
    """Return at most 1000 ids of accounts."""
    limit_of(max(1, len(texts)))
    return [place_of("account_ids", text) for text in texts]


def find_of(text: str) -> str:
    """Return what to look for: 1 to 100 printable characters, without spaces around them."""
    words = text.strip()
    if not 1 <= len(words) <= SEARCH_CHARACTERS_MAX or not words.isprintable():
        raise _invalid("search", f"a search has 1 to {SEARCH_CHARACTERS_MAX} printable characters")
    return words


def is_key_id(text: str) -> bool:
    """Tell whether a key can have this id; other texts are not worth a query, and PostgreSQL refuses some of them."""
    return len(text) == ID_CHARACTERS and set(text) <= set(ALPHABET)


def _text_of(param: str, text: Text) -> Text:
    for each in (text.en, text.zh):
        if len(each) > TEXT_CHARACTERS_MAX or "\0" in each:
            raise _invalid(param, f"a text has at most {TEXT_CHARACTERS_MAX} characters")
    return Text(en=text.en.strip(), zh=text.zh.strip())


def _network_of(text: str) -> str:
    problem = f"{text[:60]!r} is not an IP address or network, such as 192.0.2.0/24"
    if "%" in text:  # a zone (RFC 4007) names an interface of one machine: it means nothing at the edge
        raise _invalid("allowed_addresses", problem)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise _invalid("allowed_addresses", problem) from error


def _check_length(param: str, entries: tuple[str, ...]) -> None:
    if len(entries) > LIST_ENTRIES_MAX:
        raise _invalid(param, f"a list has at most {LIST_ENTRIES_MAX} entries")


def _invalid(param: str, problem: str) -> InvalidRequest:
    return InvalidRequest("invalid_value", param=param, problem=problem)

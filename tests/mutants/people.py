"""Faults where people prove who they are: sessions, tickets, passwords, limits, and what must not be told."""

from tests.mutants.mutant import Mutant

TICKETS = "services/auth/tickets.py"
SESSIONS = "services/auth/sessions.py"
ATTEMPTS = "services/auth/attempts.py"
PEOPLE = "services/auth/people_handlers.py"
PEOPLE_STORE = "services/auth/people_store.py"
PASSWORDS = "services/auth/passwords.py"
POSTMAN = "services/auth/postman.py"
MAIL = "services/auth/mail_store.py"
INVITATIONS = "services/auth/invitations.py"
SITE = "services/auth/site_store.py"
BEARER = "shared/bearer.py"
IN_SESSIONS = "tests/auth/test_sessions.py::test_"
IN_SIGN_UP = "tests/auth/test_sign_up.py::test_"
IN_SIGN_IN = "tests/auth/test_sign_in.py::test_"
IN_POSTMAN = "tests/auth/test_postman.py::test_"
IN_PASSWORDS = "tests/auth/test_passwords.py::test_"
IN_SITE = "tests/auth/test_site.py::test_"
IN_ENUMERATION = "tests/auth/test_enumeration.py::test_"
USABLE = (
    "WHERE token_sha256 = $1 AND kind = $2 AND used_at IS NULL AND expires_at > now()\n           RETURNING"
)


def _mutant(name: str, breaks: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, file=file, old=old, new=new, tests=tests)


PROOFS = (
    _mutant(
        "ticket used twice",
        "ticket: it is good once",
        TICKETS,
        USABLE,
        USABLE.replace(" AND used_at IS NULL", ""),
        IN_SESSIONS + "of_resets_at_once_one_counts",
        IN_SIGN_UP + "a_link_that_is_over_makes_nobody",
    ),
    _mutant(
        "ticket looked at and not used",
        "ticket: it is good once",
        TICKETS,
        "UPDATE auth.ticket SET used_at = now()\n           WHERE token_sha256",
        "UPDATE auth.ticket SET used_at = NULL\n           WHERE token_sha256",
        "tests/auth/test_oidc.py::test_a_state_is_good_once_and_in_its_browser",
    ),
    _mutant(
        "ticket after its time",
        "ticket: it is not good for long",
        TICKETS,
        USABLE,
        USABLE.replace(" AND expires_at > now()", ""),
        IN_SIGN_UP + "a_link_that_is_over_makes_nobody",
    ),
    _mutant(
        "ticket of another kind",
        "ticket: it proves what it was made for",
        TICKETS,
        USABLE,
        USABLE.replace(" AND kind = $2", " AND $2 <> ''"),
        IN_SIGN_UP + "a_link_that_is_over_makes_nobody",
    ),
    _mutant(
        "link for a password survives its change",
        "ticket: a changed password voids the links for another",
        PEOPLE,
        'for kind in ("reset_password", "second_factor"):',
        'for kind in ("second_factor",):',
        IN_SESSIONS + "a_change_of_password_voids_the_links_for_another",
    ),
    _mutant(
        "session after its end",
        "session: what has ended is over",
        SESSIONS,
        "WHERE s.token_sha256 = $1 AND s.ended_at IS NULL AND",
        "WHERE s.token_sha256 = $1 AND",
        IN_SESSIONS + "a_session_that_was_ended_is_not_used_again",
    ),
    _mutant(
        "session after its time",
        "session: it ends when nobody uses it",
        SESSIONS,
        "AND s.expires_at > now() AND s.ends_at > now()",
        "",
        IN_SESSIONS + "a_session_that_is_over_is_nobodys",
    ),
    _mutant(
        "session for ever",
        "session: nothing moves its last end",
        SESSIONS,
        "expires_at = least(ends_at, now() + make_interval(secs => $4))\n               WHERE id = $1 AND ended_at IS NULL",
        "expires_at = least(ends_at, now() + make_interval(secs => $4) * 0 + (ends_at - now()) + now())\n"
        "               WHERE id = $1 AND ended_at IS NULL",
        IN_SESSIONS + "use_moves_the_idle_end_and_never_the_last",
    ),
    _mutant(
        "token itself kept",
        "session: only the hash of a token is kept",
        BEARER,
        'return hashlib.sha256(token.encode("utf-8", "replace")).digest()',
        'return token.encode("utf-8", "replace")[:32].ljust(32, b"0")',
        IN_SESSIONS + "a_token_that_nobody_made_is_nobodys",
    ),
    _mutant(
        "session of the browser kept",
        "session: signing in leaves none that was planted",
        SESSIONS,
        "if client.session_id is not None:",
        "if False:",
        IN_SIGN_IN + "a_session_that_somebody_planted_is_not_taken_over",
    ),
    _mutant(
        "session of another ended",
        "session: nobody ends another's",
        SESSIONS,
        "WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > now() RETURNING true",
        "WHERE id = $1 AND $2::uuid IS NOT NULL AND ended_at IS NULL AND expires_at > now() RETURNING true",
        IN_SESSIONS + "nobody_ends_or_sees_the_session_of_another",
    ),
    _mutant(
        "sessions survive a new password",
        "session: a new password ends every other",
        PEOPLE,
        "        await sessions.end_all(connection, known.user_id, but=but)\n",
        "",
        IN_SESSIONS + "a_new_password_ends_every_other_session",
        IN_SESSIONS + "a_reset_sets_a_password_once_and_ends_every_session",
        IN_SESSIONS + "an_operator_lets_in_who_is_locked_out",
    ),
    _mutant(
        "token kept when the password is shown",
        "session: proof gives it a new token",
        SESSIONS,
        "UPDATE auth.session SET token_sha256 = $3, fresh_at = now()",
        "UPDATE auth.session SET fresh_at = CASE WHEN octet_length($3::bytea) > 0 THEN now() END",
        IN_SESSIONS + "showing_the_password_makes_a_session_fresh_under_a_new_token",
    ),
    _mutant(
        "fresh for ever",
        "session: a proof counts for minutes",
        SESSIONS,
        "s.fresh_at > now() - make_interval(secs => $2) AS is_fresh",
        "$2::float8 > 0 AS is_fresh",
        IN_SESSIONS + "showing_the_password_makes_a_session_fresh_under_a_new_token",
    ),
    _mutant(
        "password not checked again",
        "session: only proof makes it fresh",
        PEOPLE,
        'raise InvalidRequest("wrong_password", param=param)',
        "pass",
        IN_SESSIONS + "a_wrong_password_proves_nothing_and_is_counted",
    ),
)

ADDRESSES = (
    _mutant(
        "nobody's password not hashed",
        "enumeration: the work is the same for every address",
        PEOPLE,
        "is_match = await self._passwords.is_match(ask.password, stored)",
        "is_match = stored is not None and await self._passwords.is_match(ask.password, stored)",
        IN_ENUMERATION + "the_work_is_the_same_for_known_and_unknown_addresses[sign_in]",
    ),
    _mutant(
        "known address refused",
        "enumeration: the answer is the same for every address",
        PEOPLE,
        "        async with self._database.change() as connection:\n            ticket_id = await tickets.prepare(\n"
        '                connection, "confirm_email"',
        "        async with self._database.change() as connection:\n"
        "            if await people_store.find(connection, email):\n                return Empty()\n"
        '            ticket_id = await tickets.prepare(\n                connection, "confirm_email"',
        IN_ENUMERATION + "the_work_is_the_same_for_known_and_unknown_addresses[sign_up]",
    ),
    _mutant(
        "sign-up of a known address goes on",
        "sign-up: an address has one account",
        POSTMAN,
        "            elif known is not None:\n",
        "            elif False:\n",
        IN_SIGN_UP + "whoever_has_an_account_gets_another_message",
    ),
    _mutant(
        "suspended told to a stranger",
        "enumeration: only who has the password hears of the account",
        PEOPLE,
        "if known is None or stored is None or not is_match:",
        'if known is not None and known.is_suspended:\n            raise Forbidden("account_suspended")\n'
        "        if known is None or stored is None or not is_match:",
        IN_SIGN_IN + "only_who_has_the_password_hears_what_is_wrong_with_the_account",
    ),
    _mutant(
        "tries not counted",
        "limit: guessing slows down",
        ATTEMPTS,
        "    if tries < limit.free:\n",
        "    if True:\n",
        IN_SIGN_IN + "after_five_wrong_passwords_the_next_waits",
        IN_SIGN_UP + "nobody_is_flooded_with_messages",
    ),
    _mutant(
        "wait not kept",
        "limit: whoever must wait waits",
        ATTEMPTS,
        "               WHERE a.blocked_until IS NULL OR a.blocked_until <= now()\n",
        "",
        IN_SIGN_IN + "after_five_wrong_passwords_the_next_waits",
        IN_SIGN_IN + "replicas_count_together",
    ),
    _mutant(
        "count of a person everywhere",
        "limit: nobody is locked out from elsewhere",
        PEOPLE,
        "    if await sessions.has_been_at(connection, user_id, client.address):\n        return subjects\n",
        "",
        IN_SIGN_IN + "nobody_is_locked_out_from_elsewhere",
    ),
    _mutant(
        "each address of a network counted alone",
        "limit: one subscriber is one place",
        ATTEMPTS,
        "return str(ipaddress.ip_network((parsed, 128 - IPV6_HOST_BITS), strict=False))",
        "return str(parsed)",
        "tests/auth/test_attempts.py::test_a_place_is_what_one_subscriber_has",
        IN_SIGN_IN + "one_place_cannot_go_through_many_people",
    ),
    _mutant(
        "crowd let in",
        "limit: passwords at work have a bound",
        PASSWORDS,
        "if self.running >= self._threads + WAITING_MAX:",
        "if False:",
        IN_PASSWORDS + "a_crowd_is_told_to_come_again",
    ),
    _mutant(
        "invitation used twice",
        "sign-up: an invitation lets one in",
        INVITATIONS,
        "WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now() RETURNING true",
        "WHERE id = $1 AND revoked_at IS NULL AND expires_at > now() RETURNING true",
        IN_SIGN_UP + "an_invitation_lets_one_person_in",
    ),
    _mutant(
        "invitation for anybody",
        "sign-up: an invitation for an address lets only that in",
        INVITATIONS,
        "(email IS NULL OR email = $2)",
        "(email IS NULL OR $2 <> '')",
        IN_SIGN_UP + "an_invitation_for_an_address_lets_only_that_in",
    ),
    _mutant(
        "account of a repeat is another",
        "sign-up: the gift is given once",
        PEOPLE,
        "account_id=ticket.id,",
        "account_id=__import__('uuid').uuid4(),",
        IN_SIGN_UP + "a_new_account_is_given_the_credit_of_the_site_once",
    ),
    _mutant(
        "message taken by two",
        "mail: a message is sent once",
        MAIL,
        "LIMIT $3 FOR UPDATE SKIP LOCKED)",
        "LIMIT $3)",
        IN_POSTMAN + "of_replicas_that_look_at_once_each_message_has_one",
    ),
    _mutant(
        "message lost with the mail server",
        "mail: an outage loses nothing",
        POSTMAN,
        "if problem is not None and not problem.is_final and not mail.is_last:",
        "if False:",
        IN_POSTMAN + "a_mail_server_that_is_away_loses_nothing",
    ),
    _mutant(
        "settings overwritten",
        "site: of two who change it the slower is refused",
        SITE,
        "           WHERE version = $1\n",
        "           WHERE $1::bigint > 0\n",
        IN_SITE + "of_two_who_change_it_the_slower_is_refused",
    ),
)

MUTANTS = (*PROOFS, *ADDRESSES)

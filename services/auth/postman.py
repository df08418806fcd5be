"""Writes and sends the messages that wait in the table, beside the other replicas, outside of every request.

    due ──claim──▶ written ──▶ the mail server has it                    sent
                      │    ╲─▶ it will never take it, or a day is over    failed
                      │    ╲─▶ it is away                                 due again, later each time
                      │    ╲─▶ there is none, but an outbox page          kept, for people to read there
                      ╲──────▶ there is nobody to tell any more           needless

Who asked for a message has had the answer long before, whether the address is known or not: neither the answer nor the time that it
takes tells. The link of a message is made here too, so a repeat has a new link, and the one before is void.
"""

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress

from services.auth import invitations, letters, mail_store, people_store, site_store, tickets
from services.auth.database import Database
from services.auth.letters import Letter
from services.auth.mail_store import Mail
from services.auth.secrets import Pepper
from services.auth.settings import AuthSettings
from services.auth.smtp import Mailer, NotSent
from shared.db import Connection
from shared.errors import Unavailable
from shared.metrics import Metrics

POLL_SECONDS = 5.0  # for what another replica, or an earlier try, has left
SWEEP_SECONDS = 3600.0

log = logging.getLogger(__name__)


class Postman:
    """Sends what is due while `run` runs."""

    def __init__(self, database: Database, settings: AuthSettings, pepper: Pepper) -> None:
        self._database = database
        self._settings = settings
        self._pepper = pepper
        self._mailer = Mailer(settings) if settings.smtp_host else None
        self._woken = asyncio.Event()
        self._ended: Counter[tuple[str, ...]] = Counter()

    def measure(self, metrics: Metrics) -> None:
        """Show in `metrics` how messages ended, and how often the mail server was away."""
        metrics.totals(
            "auth_mail_total",
            "Messages by how they ended here: sent, kept, needless, failed, or put off for later",
            ("outcome",),
            self._ended.copy,
        )

    def wake(self) -> None:
        """Look at once: there is a new message."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, and sweep out once an hour what is long over, until cancelled."""
        if self._mailer is None and not self._settings.outbox_page:
            log.warning(
                "no mail server is set (RELAY_SMTP_HOST): messages to people wait, and are given up after a day"
            )
        swept_at = -SWEEP_SECONDS
        while True:
            self._woken.clear()
            try:
                while await self._send_due():
                    pass
                if time.monotonic() - swept_at >= SWEEP_SECONDS:
                    async with self._database.change() as connection:
                        await connection.execute("SELECT auth.sweep()")
                    swept_at = time.monotonic()
            except Unavailable as error:
                log.warning("messages wait: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _send_due(self) -> bool:
        """Send one batch; return whether there was any."""
        async with self._database.change() as connection:
            due = await mail_store.claim(connection)
        await asyncio.gather(*(self._deliver_or_leave(mail) for mail in due))
        return bool(due)

    async def _deliver_or_leave(self, mail: Mail) -> None:
        try:
            await self._deliver(mail)
        except Unavailable as error:
            log.warning("a message (%s) waits: %s", mail.kind, error, extra={"mail": mail.id})

    async def _deliver(self, mail: Mail) -> None:
        async with self._database.change() as connection:
            letter = await self._write(connection, mail)
            if letter is None:
                await self._end(connection, mail, "needless")
                return
            if self._settings.has_outbox:
                await mail_store.keep(connection, mail.id, letter.subject, letter.text)
                self._ended["kept",] += 1
                log.info("no mail server is set; a message to %s says: %s", mail.to_address, letter.text)
                return
        problem = await self._try(mail, letter)
        if problem is not None and not problem.is_final and not mail.is_last:
            self._ended["put off",] += 1
            log.warning("a message (%s) waits: %s", mail.kind, problem, extra={"mail": mail.id})
            return
        if problem is not None:
            log.error("a message (%s) is given up: %s", mail.kind, problem, extra={"mail": mail.id})
        async with self._database.change() as connection:
            await self._end(connection, mail, "sent" if problem is None else "failed")

    async def _try(self, mail: Mail, letter: Letter) -> NotSent | None:
        if self._mailer is None:
            return NotSent("no mail server is set (RELAY_SMTP_HOST)", is_final=False)
        try:
            await self._mailer.send(mail.to_address, letter)
        except NotSent as error:
            return error
        return None

    async def _end(self, connection: Connection, mail: Mail, outcome: mail_store.Outcome) -> None:
        self._ended[outcome,] += 1
        await mail_store.end(connection, mail.id, outcome)

    async def _write(self, connection: Connection, mail: Mail) -> Letter | None:
        """Return the letter, None when nobody needs it any more. What it proves is decided here, not when it was asked for."""
        kind, link = mail.kind, letters.SIGN_IN_PATH
        if mail.kind in ("sign_up", "reset_password"):
            if mail.ticket_id is None or not await mail_store.has_usable_ticket(connection, mail.ticket_id):
                return None
            known = await people_store.find(connection, mail.to_address)
            if mail.kind == "reset_password":
                if known is None:
                    return None
                link = letters.RESET_PATH + await tickets.arm(connection, mail.ticket_id, known.user_id)
            elif known is not None:
                kind = "known_email"
            else:
                kind = "confirm_email"
                link = letters.CONFIRM_PATH + await tickets.arm(connection, mail.ticket_id, None)
        elif mail.kind == "invitation":
            if mail.invitation_id is None or not await invitations.is_usable(connection, mail.invitation_id):
                return None
            link = letters.SIGN_UP_PATH + invitations.token_of(self._pepper, mail.invitation_id)
        site = await site_store.get(connection)
        return letters.write(kind, mail.language, site=site.name, link=self._settings.origin + link)

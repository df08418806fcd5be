"""Messages on their way: a real mail server that takes them, refuses them, or is away."""

import asyncio
import email
import email.policy
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from email.message import EmailMessage

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.auth import mail_store
from services.auth.database import Database
from services.auth.settings import AuthSettings
from services.devstack.process import HOST
from shared.bus import Bus
from shared.contracts import people, site
from shared.contracts.call import EDGE, OPERATOR
from shared.errors import NotFound
from tests.auth.conftest import Billing, World, replica
from tests.auth.visitor import EMAIL, PASSWORD, Visitor, open_sign_up, token_in
from tests.nats_cluster import free_ports

SENDER = "Relay <relay@relay.example>"


class Inbox:
    """What a mail server does with a message: it answers `answer`, and keeps what it took."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.refused_recipient = ""
        self.seen: list[str] = []
        self.taken: list[EmailMessage] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        self.seen.append(address)
        if self.refused_recipient:
            return self.refused_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take or refuse a message."""
        if self.answer.startswith("250"):
            content = envelope.original_content or b""
            parsed = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.taken.append(parsed)
        return self.answer


@contextmanager
def mail_server(inbox: Inbox, port: int) -> Iterator[None]:
    """Run a mail server on `port`."""
    controller = Controller(inbox, hostname=HOST, port=port, enable_SMTPUTF8=False)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@pytest.fixture
def smtp_port() -> int:
    """A free port for the mail server."""
    [port] = free_ports(1)
    return port


@pytest.fixture
async def mailing(settings: AuthSettings, smtp_port: int) -> AsyncIterator[World]:
    """A world whose auth has a mail server, which does not run yet."""
    async with world_of(with_mail(settings, smtp_port)) as world:
        yield world


def with_mail(settings: AuthSettings, port: int) -> AuthSettings:
    """Return settings with a mail server at `port`."""
    return msgspec.structs.replace(
        settings, smtp_host=HOST, smtp_port=port, smtp_tls="none", smtp_from=SENDER
    )


@asynccontextmanager
async def world_of(settings: AuthSettings) -> AsyncIterator[World]:
    """Yield one replica with other settings, and its surroundings."""
    async with AsyncExitStack() as stack:
        edge, operator, of_billing = [
            await stack.enter_async_context(Bus(settings, party=party))
            for party in (EDGE, OPERATOR, "billing")
        ]
        billing = Billing(of_billing)
        await billing.serve()
        app = await stack.enter_async_context(replica(settings))
        yield World(app, billing, edge, operator, settings.database_url.reveal())


async def ended(world: World, tries: int = 0) -> list[tuple[object, ...]]:
    """Return kind and outcome of each message when none is on its way, or one was tried so often."""
    for _ in range(1500):
        rows = await world.rows("SELECT kind, outcome, tries FROM auth.mail ORDER BY id")
        if rows and all(row[1] is not None or (tries and int(str(row[2])) >= tries) for row in rows):
            return [row[:2] for row in rows]
        await asyncio.sleep(0.02)
    raise AssertionError(rows)


async def due(world: World) -> None:
    """Let what waits be due now, instead of after a minute."""
    await world.execute("UPDATE auth.mail SET due_at = now() WHERE ended_at IS NULL")


async def test_a_message_goes_out_whole(mailing: World, smtp_port: int) -> None:
    """As plain text and as HTML with the same link, from the sender, to the address alone; no copy is kept."""
    inbox = Inbox()
    await open_sign_up(mailing)
    with mail_server(inbox, smtp_port):
        ada = Visitor(mailing)
        await ada.sign_up()
        assert await ended(mailing) == [("sign_up", "sent")]

    [message] = inbox.taken
    assert inbox.seen == [EMAIL]
    assert (message["to"], message["from"]) == (EMAIL, SENDER)
    assert message["subject"] == "Confirm your e-mail address for Acme AI"
    assert message["auto-submitted"] == "auto-generated"
    assert str(message["message-id"]).endswith("@relay.example>")
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    token = token_in(plain.get_content())
    assert f'href="https://relay.example/confirm-email#token={token}"' in html.get_content()
    assert (await ada.confirm(token)).state == "signed_in"
    assert await mailing.rows("SELECT subject, body FROM auth.mail") == [(None, None)]


async def test_chinese_arrives_as_it_was_written(mailing: World, smtp_port: int) -> None:
    """In the subject too."""
    inbox = Inbox()
    await open_sign_up(mailing)
    with mail_server(inbox, smtp_port):
        ask = people.SignUp(email=EMAIL, password=PASSWORD, client=Visitor(mailing).client, language="zh")
        await mailing.edge.call(people.SIGN_UP, ask)
        await ended(mailing)
    [message] = inbox.taken
    plain = message.get_body(("plain",))
    assert message["subject"] == "请确认您在 Acme AI 的邮箱地址"
    assert plain is not None
    assert "只差一步" in plain.get_content()


async def test_a_mail_server_that_is_away_loses_nothing(
    mailing: World, smtp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer does not wait for it; when it is back the message goes out, with a link that is good."""
    inbox = Inbox()
    await open_sign_up(mailing)
    ada = Visitor(mailing)
    await ada.sign_up()
    assert await ended(mailing, tries=1) == [("sign_up", None)]
    with mail_server(inbox, smtp_port):
        inbox.answer = "451 come again"
        await due(mailing)
        await ended(mailing, tries=2)
        assert inbox.taken == []
        inbox.answer = "250 OK"
        await due(mailing)
        assert await ended(mailing) == [("sign_up", "sent")]

    [message] = inbox.taken
    plain = message.get_body(("plain",))
    assert plain is not None
    assert (await ada.confirm(token_in(plain.get_content()))).state == "signed_in"
    assert EMAIL not in caplog.text


@pytest.mark.parametrize("where", ["recipient", "message"])
async def test_what_a_mail_server_refuses_for_good_is_given_up(
    mailing: World, smtp_port: int, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At once; the log says that it was, and not for whom."""
    inbox = Inbox()
    if where == "recipient":
        inbox.refused_recipient = "550 no such user here"
    else:
        inbox.answer = "554 refused"
    with mail_server(inbox, smtp_port):
        await mailing.operator.call(site.INVITE, site.Invite(email=EMAIL))
        assert await ended(mailing) == [("invitation", "failed")]
    assert "is given up" in caplog.text
    assert EMAIL not in caplog.text


async def test_a_message_is_given_up_after_a_day(mailing: World) -> None:
    """Of which its link is worth nothing any more."""
    await mailing.operator.call(site.INVITE, site.Invite(email=EMAIL))
    await ended(mailing, tries=1)
    await mailing.execute("UPDATE auth.mail SET created_at = now() - interval '25 hours', due_at = now()")
    assert await ended(mailing) == [("invitation", "failed")]


async def test_a_link_that_is_over_is_not_sent(mailing: World, smtp_port: int) -> None:
    """An invitation that was taken back, and a ticket that expired, while the mail server was away."""
    inbox = Inbox()
    await open_sign_up(mailing)
    made = await mailing.operator.call(site.INVITE, site.Invite(email=EMAIL))
    await Visitor(mailing).sign_up()
    await ended(mailing, tries=1)
    await mailing.operator.call(
        site.REVOKE_INVITATION, site.RevokeInvitation(invitation_id=made.invitation.id)
    )
    await mailing.execute("UPDATE auth.ticket SET expires_at = now()")
    with mail_server(inbox, smtp_port):
        await due(mailing)
        assert await ended(mailing) == [("invitation", "needless"), ("sign_up", "needless")]
    assert inbox.seen == []


async def test_replicas_send_a_message_once(mailing: World, settings: AuthSettings, smtp_port: int) -> None:
    """Whoever takes it has it for a minute alone."""
    inbox = Inbox()
    async with replica(with_mail(settings, smtp_port)), replica(with_mail(settings, smtp_port)):
        with mail_server(inbox, smtp_port):
            for number in range(12):
                ask = site.Invite(email=f"person{number}@example.com")
                await mailing.operator.call(site.INVITE, ask)
            outcomes = await ended(mailing)
    assert outcomes == [("invitation", "sent")] * 12
    assert sorted(inbox.seen) == sorted(f"person{number}@example.com" for number in range(12))


async def test_of_replicas_that_look_at_once_each_message_has_one(auth_url: str) -> None:
    """What one has taken the others pass over, without waiting for it."""
    database = Database(auth_url, pool_size=6)
    async with database.open():
        async with database.change() as connection:
            for number in range(40):
                await mail_store.add(connection, "invitation", f"person{number}@example.com", "en")

        async def claimed() -> list[int]:
            async with database.change() as connection:
                return [mail.id for mail in await mail_store.claim(connection)]

        taken = [number for batch in await asyncio.gather(*(claimed() for _ in range(8))) for number in batch]
        assert sorted(taken) == sorted(set(taken))
        assert len(taken) == 40
        assert await claimed() == []


async def test_without_a_mail_server_messages_wait_and_are_shown_to_nobody(
    settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless the settings say that this is for development; the log names no link and no address."""
    caplog.set_level(logging.DEBUG)
    async with world_of(msgspec.structs.replace(settings, outbox_page=False)) as world:
        await open_sign_up(world)
        await Visitor(world).sign_up()
        assert await ended(world, tries=1) == [("sign_up", None)]
        with pytest.raises(NotFound):
            await world.edge.call(site.LIST_MAIL, site.ListMail())
        assert await world.rows("SELECT subject, body FROM auth.mail") == [(None, None)]
    assert "no mail server is set" in caplog.text
    assert "#token" not in caplog.text
    assert EMAIL not in caplog.text


async def test_with_an_outbox_page_the_log_has_the_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A developer finds the link in both."""
    caplog.set_level(logging.INFO)
    await open_sign_up(world)
    await Visitor(world).sign_up()
    assert await ended(world) == [("sign_up", "kept")]
    [kept] = (await world.edge.call(site.LIST_MAIL, site.ListMail())).items
    assert kept.to == EMAIL
    assert token_in(kept.body) in caplog.text


async def test_what_is_long_over_is_swept_out(world: World) -> None:
    """And what is not stays."""
    await open_sign_up(world)
    await Visitor(world).join()
    await Visitor(world).forgot()
    await ended(world)
    await world.execute("SELECT auth.sweep()")
    assert await world.rows("SELECT count(*) FROM auth.ticket") == [(2,)]

    await world.execute(
        "UPDATE auth.mail SET ended_at = now() - interval '8 days'; UPDATE auth.attempt SET tried_at = now() - interval '3 days';"
        "UPDATE auth.ticket SET expires_at = now() - interval '8 days';"
        "UPDATE auth.session SET ended_at = now() - interval '31 days'; SELECT auth.sweep()"
    )
    for table in ("mail", "ticket", "attempt", "session"):
        assert await world.rows(f"SELECT count(*) FROM auth.{table}") == [(0,)], table
    assert await world.rows("SELECT count(*) FROM auth.app_user") == [(1,)]

"""Messages on their way to the mail server: the one place that speaks SMTP."""

import ssl
from email.errors import HeaderParseError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from typing import TYPE_CHECKING

import aiosmtplib

from services.auth.letters import Letter

if TYPE_CHECKING:
    from services.auth.settings import AuthSettings

SECONDS = 20.0  # for each step; a message is another's to send only after mail_store.LEASE_SECONDS


class NotSent(Exception):
    """The mail server did not take a message. `is_final` when it never will; `str()` says why, and nothing of the message."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Mailer:
    """Sends letters through the mail server of the settings."""

    def __init__(self, settings: "AuthSettings") -> None:
        self._settings = settings
        self._domain = parseaddr(settings.smtp_from)[1].rpartition("@")[2] or "localhost"

    async def send(self, to_address: str, letter: Letter) -> None:
        """Return when the mail server has the letter. Raises: NotSent."""
        settings = self._settings
        try:
            message = self._message(to_address, letter)
            await aiosmtplib.send(
                message,
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user or None,
                password=settings.smtp_password.reveal() or None,
                use_tls=settings.smtp_tls == "tls",
                start_tls=settings.smtp_tls == "starttls",
                timeout=SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, ssl.SSLError) as error:
            raise NotSent(_reason(error), is_final=_is_final(error)) from error
        except (HeaderParseError, ValueError) as error:
            raise NotSent("the address cannot stand in a message", is_final=True) from error

    def _message(self, to_address: str, letter: Letter) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._settings.smtp_from
        message["To"] = to_address
        message["Subject"] = letter.subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = make_msgid("relay", domain=self._domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message.set_content(letter.text)
        message.add_alternative(letter.html, subtype="html")
        return message


def _is_final(error: Exception) -> bool:
    """Tell whether the mail server will never take this message. A wrong password of ours, or a wrong sender, is mended in time."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(_is_permanent(refused.code) for refused in error.recipients)
    if isinstance(error, aiosmtplib.SMTPDataError | aiosmtplib.SMTPRecipientRefused):
        return _is_permanent(error.code)
    return isinstance(error, aiosmtplib.SMTPNotSupported)


def _is_permanent(code: int) -> bool:
    return 500 <= code < 600


def _reason(error: Exception) -> str:
    """Return what kind of refusal it was. The server's own words may quote the address, so they are left out."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return f"the recipient was refused with {', '.join(str(each.code) for each in error.recipients)}"
    code = getattr(error, "code", None)
    return f"{type(error).__name__}{f' {code}' if isinstance(code, int) else ''}"

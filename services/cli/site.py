"""`relay site`: what people see of the site, and who may sign up."""

from typing import TYPE_CHECKING

import click
import msgspec

from services.cli import parameters
from services.cli.answer import Answer, table
from services.cli.session import over_the_bus
from shared.contracts import site as contract
from shared.contracts.call import Empty
from shared.money import usd_from_nano

if TYPE_CHECKING:
    from shared.bus import Bus


@click.group()
def site() -> None:
    """What people see of the site, and who may sign up."""


@site.command("show")
@over_the_bus
async def show_site(bus: "Bus") -> Answer:
    """Show the settings that can be changed while the site runs."""
    known = await bus.call(contract.GET_SITE, Empty())
    return _answer(known)


@site.command("set")
@click.option("--name", help="What the site is called.")
@click.option("--sign-up", type=click.Choice(["open", "invitation", "off"]), help="Who may sign up.")
@click.option(
    "--sign-up-credit",
    type=parameters.amount_or_none,
    metavar="USD",
    help="What a new account is given, or `none`.",
)
@click.option("--notice-en", help="An announcement in English; empty for none.")
@click.option("--notice-zh", help="The same in Chinese.")
@click.option("--about-en", help="What the landing page says about the site, in English; empty for nothing.")
@click.option("--about-zh", help="The same in Chinese.")
@click.option("--contact", help="Where to ask, such as an e-mail address; empty for nowhere.")
@over_the_bus
async def set_site(
    bus: "Bus",
    name: str | None,
    sign_up: contract.SignUpMode | None,
    sign_up_credit: int | str | None,
    notice_en: str | None,
    notice_zh: str | None,
    about_en: str | None,
    about_zh: str | None,
    contact: str | None,
) -> Answer:
    """Change what is given; it is live on every replica within a second."""
    known = (await bus.call(contract.GET_SITE, Empty())).settings
    changes = {"name": name, "sign_up": sign_up, "contact": contact}
    changed = msgspec.structs.replace(
        known,
        **{field: value for field, value in changes.items() if value is not None},
        notice=_text(known.notice, notice_en, notice_zh),
        about=_text(known.about, about_en, about_zh),
    )
    if sign_up_credit is not None:
        nano_usd = sign_up_credit if isinstance(sign_up_credit, int) else 0
        changed = msgspec.structs.replace(changed, sign_up_credit_nano_usd=nano_usd)
    return _answer(await bus.call(contract.PUT_SITE, contract.PutSite(settings=changed)))


def _text(known: contract.Text, en: str | None, zh: str | None) -> contract.Text:
    return contract.Text(en=known.en if en is None else en, zh=known.zh if zh is None else zh)


def _answer(known: contract.Site) -> Answer:
    settings = known.settings
    rows = [
        ("name", settings.name),
        ("address", known.public_url),
        (
            "mail",
            "sent"
            if known.has_mail
            else "kept at /api/outbox"
            if known.has_outbox
            else "waits: no mail server",
        ),
        ("sign-up", settings.sign_up),
        ("sign-up credit", f"{usd_from_nano(settings.sign_up_credit_nano_usd)} USD"),
        ("notice, English", settings.notice.en),
        ("notice, Chinese", settings.notice.zh),
        ("about, English", settings.about.en),
        ("about, Chinese", settings.about.zh),
        ("contact", settings.contact),
    ]
    return Answer(document=known, text=table("SETTING|VALUE", rows))

"""What anybody sees of the site, and what operators change of it: its settings and invitations."""

import asyncio
from importlib.metadata import version

import msgspec

from services.edge.api import table
from services.edge.api.context import Context, Handler
from services.edge.api.endpoint import Endpoint, Nothing
from services.edge.api.memory import Memory
from services.edge.api.shapes import operator as operator_shapes
from services.edge.api.shapes import site as shapes
from shared.bus import Bus
from shared.contracts import accounts, billing, dispatcher, site
from shared.contracts.call import Empty
from shared.errors import InvalidRequest
from shared.money import multiplied, nano_from_usd, usd_from_nano, usd_per_million_from_pico

DAY_SECONDS = 86_400.0
INVITATION_DAYS_MAX = 365
MILLION = 1_000_000


async def get_site(context: Context, ask: Nothing, query: Nothing) -> shapes.Site:
    """Return what a page must know before anybody has signed in."""
    known = await _SITE.get(context.bus)
    settings = known.settings
    return shapes.Site(
        name=settings.name,
        base_url=known.public_url + "/v1",
        sign_up=settings.sign_up,
        providers=tuple(shapes.SignInProvider(id=each.id, name=each.name) for each in known.providers),
        has_outbox=known.has_outbox,
        default_language=context.settings.default_language,
        notice=_shown(settings.notice),
        about=_shown(settings.about),
        contact=settings.contact,
        version=version("relay"),
    )


async def models(context: Context, ask: Nothing, query: Nothing) -> shapes.Models:
    """Return every model that a channel offers and that has a price, by name.

    A person sees those that their group may call, at the price that it pays.
    """
    known = await _MODELS.get(context.bus)
    if not context.is_signed_in:
        return known
    question = accounts.GetLimits(account_id=context.person.account_id)
    account = await context.bus.call(accounts.GET_LIMITS, question)
    return shapes.Models(
        items=tuple(
            _at_price_of(account.multiplier_ppm, each)
            for each in known.items
            if not account.allowed_models or each.id in account.allowed_models
        )
    )


async def outbox(context: Context, ask: Nothing, query: Nothing) -> shapes.Outbox:
    """Return the last messages that no mail server took. Raises: NotFound but on a local stack."""
    kept = await context.bus.call(site.LIST_MAIL, site.ListMail())
    return shapes.Outbox(
        items=tuple(
            shapes.Message(
                id=each.id,
                to=each.to,
                subject=each.subject,
                body=each.body,
                created=int(each.created_unix),
            )
            for each in kept.items
        )
    )


async def get_settings(context: Context, ask: Nothing, query: Nothing) -> operator_shapes.SiteSettings:
    """Return what can be changed while the site runs."""
    return _view(await context.bus.call(site.GET_SITE, Empty()))


async def put_settings(
    context: Context, ask: operator_shapes.SiteSettings, query: Nothing
) -> operator_shapes.SiteSettings:
    """Replace the settings, unless somebody else did since they were read."""
    settings = site.SiteSettings(
        version=ask.version,
        name=ask.name,
        sign_up=ask.sign_up,
        sign_up_credit_nano_usd=_credit(ask.sign_up_credit_usd),
        notice=site.Text(en=ask.notice.en, zh=ask.notice.zh),
        about=site.Text(en=ask.about.en, zh=ask.about.zh),
        contact=ask.contact,
    )
    context.object = "site"
    context.before = _view(await context.bus.call(site.GET_SITE, Empty()))
    changed = await context.bus.call(site.PUT_SITE, site.PutSite(settings=settings))
    _SITE.forget(context.bus)
    return _view(changed)


async def list_invitations(context: Context, ask: Nothing, query: Nothing) -> operator_shapes.Invitations:
    """Return the last invitations that were not taken back."""
    found = await context.bus.call(site.LIST_INVITATIONS, site.ListInvitations())
    live = (each for each in found.items if each.revoked_unix is None)
    return operator_shapes.Invitations(items=tuple(_invitation(each) for each in live))


async def invite(context: Context, ask: operator_shapes.Invite, query: Nothing) -> operator_shapes.Invited:
    """Make an invitation, and send it if there is an address."""
    if not 1 <= ask.lifetime_days <= INVITATION_DAYS_MAX:
        raise InvalidRequest(
            "invalid_value",
            param="lifetime_days",
            problem=f"an invitation is good for 1 to {INVITATION_DAYS_MAX} days",
        )
    question = site.Invite(
        created_by=context.person.user_id,
        email=ask.email or None,
        lifetime_seconds=ask.lifetime_days * DAY_SECONDS,
        language=context.language,
    )
    made = await context.bus.call(site.INVITE, question)
    context.object = f"invitation {made.invitation.id}"
    return operator_shapes.Invited(invitation=_invitation(made.invitation), url=made.url)


async def revoke_invitation(context: Context, ask: Nothing, query: Nothing) -> Nothing:
    """Take an invitation back."""
    invitation_id = context.path["invitation_id"]
    context.object = f"invitation {invitation_id[:40]}"
    await context.bus.call(site.REVOKE_INVITATION, site.RevokeInvitation(invitation_id=invitation_id))
    return Nothing()


async def _read_site(bus: Bus) -> site.Site:
    return await bus.call(site.GET_SITE, Empty())


async def _read_models(bus: Bus) -> shapes.Models:
    offered, prices = await asyncio.gather(
        bus.call(dispatcher.LIST_MODELS, dispatcher.ListModels()),
        bus.call(billing.LIST_PRICES, billing.ListPrices()),
    )
    priced = {price.model: price for price in prices.items}
    names = sorted({model.id for model in offered.items if model.id in priced})
    return shapes.Models(items=tuple(_model(priced[name]) for name in names))


_SITE: Memory[site.Site] = Memory(_read_site)
_MODELS: Memory[shapes.Models] = Memory(_read_models)


def _model(price: billing.Price) -> shapes.Model:
    return shapes.Model(
        id=price.model,
        figures=(_figures(price, 0), *(_figures(tier, tier.above_input_tokens) for tier in price.tiers)),
        context_tokens=price.context_tokens,
        max_output_tokens=price.max_output_tokens,
        capabilities=price.capabilities,
    )


def _at_price_of(multiplier_ppm: int, model: shapes.Model) -> shapes.Model:
    if multiplier_ppm == MILLION:
        return model
    figures = tuple(
        shapes.Figures(
            above_input_tokens=each.above_input_tokens,
            input=multiplied(each.input, multiplier_ppm),
            output=multiplied(each.output, multiplier_ppm),
            cache_read=multiplied(each.cache_read, multiplier_ppm),
            cache_write=multiplied(each.cache_write, multiplier_ppm),
        )
        for each in model.figures
    )
    return msgspec.structs.replace(model, figures=figures)


def _figures(price: billing.Price | billing.PriceTier, above_input_tokens: int) -> shapes.Figures:
    return shapes.Figures(
        above_input_tokens=above_input_tokens,
        input=usd_per_million_from_pico(price.input_pico_usd),
        output=usd_per_million_from_pico(price.output_pico_usd),
        cache_read=usd_per_million_from_pico(price.cache_read_pico_usd),
        cache_write=usd_per_million_from_pico(price.cache_write_pico_usd),
    )


def _view(known: site.Site) -> operator_shapes.SiteSettings:
    settings = known.settings
    return operator_shapes.SiteSettings(
        version=settings.version,
        name=settings.name,
        sign_up=settings.sign_up,
        sign_up_credit_usd=usd_from_nano(settings.sign_up_credit_nano_usd),
        notice=_shown(settings.notice),
        about=_shown(settings.about),
        contact=settings.contact,
    )


def _shown(text: site.Text) -> shapes.Text:
    return shapes.Text(en=text.en, zh=text.zh)


def _invitation(known: site.Invitation) -> operator_shapes.Invitation:
    return operator_shapes.Invitation(
        id=known.id,
        email=known.email,
        created=int(known.created_unix),
        expires=int(known.expires_unix),
        used=None if known.used_unix is None else int(known.used_unix),
    )


def _credit(text: str) -> int:
    try:
        return nano_from_usd(text)
    except InvalidRequest as error:
        problem = str(error.details["problem"])
        raise InvalidRequest("invalid_value", param="sign_up_credit_usd", problem=problem) from error


HANDLERS: dict[Endpoint, Handler] = {
    table.SITE: get_site,
    table.MODELS: models,
    table.OUTBOX: outbox,
    table.SETTINGS: get_settings,
    table.PUT_SETTINGS: put_settings,
    table.INVITATIONS: list_invitations,
    table.INVITE: invite,
    table.REVOKE_INVITATION: revoke_invitation,
}

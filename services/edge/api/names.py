"""What keys and accounts are called, which auth knows: asked for once a page."""

from collections.abc import Iterable

from services.edge.api.context import Context
from shared.contracts import auth


async def names_of(
    context: Context, *, keys: Iterable[str] = (), accounts: Iterable[str] = (), owner: str | None = None
) -> auth.Names:
    """Return the names by id; with an owner, of its keys only. What has none is left out."""
    question = auth.GetNames(
        key_ids=tuple(dict.fromkeys(keys)), account_ids=tuple(dict.fromkeys(accounts)), account_id=owner
    )
    if not question.key_ids and not question.account_ids:
        return auth.Names(accounts={}, keys={})
    return await context.bus.call(auth.GET_NAMES, question)

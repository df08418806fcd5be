"""What auth tells the caches of the edges, after a change is committed."""

import logging

from shared.bus import Bus
from shared.contracts.call import Event, M
from shared.errors import RelayError

log = logging.getLogger(__name__)


async def tell(bus: Bus, event: Event[M], message: M) -> None:
    """Publish an event. If that fails the change stands, and caches keep the old state for at most ten seconds."""
    try:
        await bus.publish(event, message)
    except RelayError:
        log.warning("%s could not be published; caches keep the old state for up to 10 s", event.subject)

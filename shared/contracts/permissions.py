"""What each party may publish and hear on the bus, derived from the contracts and from nothing else."""

import msgspec

from shared.contracts import accounts, auth, billing, dispatcher, factors, people, records, site
from shared.contracts.call import PARTIES, Call, Channel, Event, WorkQueue, inbox_of

Contract = Call[msgspec.Struct, msgspec.Struct] | Event[msgspec.Struct] | Channel | WorkQueue[msgspec.Struct]


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects that one party may publish to and subscribe to, each sorted."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def declarations() -> list[Contract]:
    """Return every contract, in the order of the files."""
    return [
        value
        for module in (auth, people, factors, site, billing, accounts, records, dispatcher)
        for value in vars(module).values()
        if isinstance(value, Call | Event | Channel | WorkQueue)
    ]


def rights_of(party: str) -> Rights:
    """Return the least rights with which `party` can do what the contracts give it."""
    assert party in PARTIES
    publish: set[str] = set()
    subscribe = {inbox_of(party)}
    for contract in declarations():
        publish |= contract.publishes(party)
        subscribe |= contract.subscribes(party)
    return Rights(publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)))

"""What each party may publish and hear on the bus, derived from the contracts and from nothing else."""

import msgspec

from shared.contracts import auth, billing, dispatcher
from shared.contracts.call import PARTIES, Call, Channel, Event

INBOX_PREFIX = "inbox"  # replies to party P come on inbox.P.<process>.<number>; nobody hears another party's


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects that one party may publish to and subscribe to, each sorted."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def declarations() -> list[Call[msgspec.Struct, msgspec.Struct] | Event[msgspec.Struct] | Channel]:
    """Return every contract, in the order of the files."""
    return [
        value
        for module in (auth, billing, dispatcher)
        for value in vars(module).values()
        if isinstance(value, Call | Event | Channel)
    ]


def rights_of(party: str) -> Rights:
    """Return the least rights with which `party` can do what the contracts give it."""
    assert party in PARTIES
    publish: set[str] = set()
    subscribe = {f"{INBOX_PREFIX}.{party}.>"}
    for contract in declarations():
        match contract:
            case Call():
                if party in contract.callers:
                    publish.add(contract.subject)
                if party == contract.owner:
                    subscribe.add(contract.subject)
                    publish.update(f"{INBOX_PREFIX}.{caller}.>" for caller in contract.callers)
            case Event():
                if party == contract.owner:
                    publish.add(contract.subject)
                if party in contract.listeners:
                    subscribe.add(contract.subject)
            case Channel():
                if party in contract.senders:
                    publish.add(contract.pattern)
                    # The other end answers heartbeats, and the server says "no responders", on the sender's inbox.
                    subscribe.add(f"{INBOX_PREFIX}.{party}.>")
                if party == contract.receiver:
                    subscribe.add(contract.pattern)
                    publish.update(f"{INBOX_PREFIX}.{sender}.>" for sender in contract.senders)
    return Rights(publish=tuple(sorted(publish)), subscribe=tuple(sorted(subscribe)))

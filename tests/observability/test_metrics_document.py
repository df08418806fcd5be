"""The page of metrics and its document say the same, and no client or upstream decides how many series there are."""

import re
import secrets

from shared.keys import mint
from shared.metrics import NAMES_MAX
from tests.observability.document import documented, documented_of, rows_by_section
from tests.observability.whole import MODEL, Whole

SLACK = 3  # series that a race may add, such as that of a void
HOSTILE = 120  # more than a label has room for


async def test_the_document_lists_what_is_exposed(relay: Whole) -> None:
    """Each metric of each service with its type, its labels and its meaning, in the section of those who have it."""
    exposed = rows_by_section({service: relay.families(service) for service in relay.apps})

    for service in relay.apps:
        assert documented_of(service) == relay.families(service), "write docs/metrics.md anew"
    assert {title: len(rows) for title, rows in exposed.items()} == {
        title: len(rows) for title, rows in documented().items()
    }


async def test_every_page_shows_its_metrics(relay: Whole) -> None:
    """Under the name and type that the service has told us, and nothing else of Relay's."""
    for service in relay.apps:
        shown = dict(re.findall(r"^# TYPE (relay_\w+) (\w+)$", relay.page(service), flags=re.MULTILINE))

        assert shown == {name: family.kind for name, family in relay.families(service).items()}


async def test_labels_are_those_that_were_named(relay: Whole) -> None:
    """After a request every service has series; each has the labels of its metric, and a histogram its buckets."""
    assert (await relay.ask()).status_code == 200
    await relay.until("billing", 'relay_billing_requests_total{rule="C1"}', 1)
    for service in relay.apps:
        families = relay.families(service)
        for series in relay.figures(service):
            name = series.partition("{")[0]
            base = name if name in families else re.sub(r"_(?:bucket|sum|count)$", "", name)
            labels = set(re.findall(r'(\w+)="', series)) - {"le"}
            assert labels == set(families[base].labels), series


async def test_hostile_requests_make_no_series(relay: Whole) -> None:
    """Models, keys, paths and error codes from outside are on no page; after the first of each kind no series comes of them."""
    marks = [f"hostile{secrets.token_hex(6)}" for _ in range(HOSTILE)]
    keys = [mint() for _ in range(10)]
    await relay.ask()
    await relay.until("billing", 'relay_billing_requests_total{rule="C1"}', 1)
    await hostile(relay, marks[0], keys[0])
    before = {service: len(relay.figures(service)) for service in relay.apps}
    for number, mark in enumerate(marks):
        await hostile(relay, mark, keys[number] if number < len(keys) else None)

    pages = {service: relay.page(service) for service in relay.apps}
    for page in pages.values():
        assert not [text for text in (*marks, *keys) if text in page]
    grown = {service: len(relay.figures(service)) - before[service] for service in relay.apps}
    assert max(grown.values()) <= SLACK, grown


async def hostile(relay: Whole, mark: str, key: str | None) -> None:
    """Ask for what is not there, with `mark` in every place that a client or an upstream writes."""
    assert (await relay.ask(mark, model=mark)).status_code == 404
    answer = await relay.ask(f"[[sim status=400 code={mark}]] {mark}")
    assert answer.json()["error"]["code"] == mark
    if key is not None:
        assert (await relay.ask(mark, key=key)).status_code == 401
        async with relay.client() as client:
            assert (await client.get(f"/v1/{mark}")).status_code == 404
            assert (await client.get(f"/v1/models/{mark}")).status_code == 404


async def test_what_is_charged_is_counted_by_model_and_rule(relay: Whole) -> None:
    """To the nano-USD, from the ledger's own rows; and what was credited."""
    for _ in range(3):
        assert (await relay.ask("[[sim out=10]]")).status_code == 200
    await relay.until("billing", 'relay_billing_requests_total{rule="C1"}', 3)

    figures = relay.figures("billing")
    usage = await relay.usage()
    charged = sum(record.charged_nano_usd for record in usage)
    assert charged > 0
    assert figures[f'relay_billing_charged_nano_usd_total{{model="{MODEL}"}}'] == charged
    assert figures[f'relay_billing_model_requests_total{{model="{MODEL}"}}'] == 3
    assert figures[f'relay_billing_tokens_total{{kind="output",model="{MODEL}"}}'] == 30
    assert figures['relay_billing_requests_total{rule="C9"}'] == 0
    assert figures['relay_billing_commands_total{op="reserve",result="ok"}'] == 3
    assert figures['relay_billing_commands_total{op="settle",result="ok"}'] == 3
    assert figures['relay_billing_credited_nano_usd_total{kind="credit"}'] == 10**15


async def test_what_stands_in_the_ledger_is_shown(relay: Whole) -> None:
    """The edge's lease is live, the outbox is empty, and this replica leads."""
    await relay.until("billing", "relay_billing_leases_live", 0)

    figures = relay.figures("billing")
    assert figures["relay_billing_outbox_rows"] <= 5
    assert figures["relay_billing_leases_lapsed"] == 0
    await relay.until("billing", "relay_billing_leads", 1)


async def test_how_a_request_ended_is_counted(relay: Whole) -> None:
    """Complete, refused by us, refused upstream, and broken after its status."""
    await relay.ask()
    await relay.ask(temperature=9)
    await relay.ask("[[sim status=500]]")
    async with relay.client() as client:
        await client.get("/nowhere")
    await relay.broken()

    figures = relay.figures("edge")
    for labels in (
        'code="",outcome="complete",route="chat",status="200"',
        'code="invalid_value",outcome="refused",route="chat",status="400"',
        'code="upstream_error",outcome="refused",route="chat",status="502"',
        'code="unknown_url",outcome="refused",route="other",status="404"',
        'code="upstream_disconnected",outcome="broken",route="chat",status="200"',
    ):
        assert figures[f"relay_edge_requests_total{{{labels}}}"] == 1, labels
    assert figures['relay_edge_first_byte_seconds_count{streamed="false"}'] == 1
    assert figures['relay_edge_first_byte_seconds_count{streamed="true"}'] == 1


def test_a_label_has_room_for_a_hundred_names() -> None:
    """The document says so."""
    assert NAMES_MAX == 100

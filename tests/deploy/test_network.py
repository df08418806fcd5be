"""Who may reach whom in the cluster: exactly the ways that the code goes, as the policies would decide."""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from services.cli.configuration import KINDS
from services.devstack.schemas import SCHEMAS
from tests.deploy.rendering import BASE, DEPLOY, PRODUCTION, Document, merged, read, render
from tests.deploy.workloads import SERVICES, environment_of, pods

NATS, NATS_ROUTE, POSTGRES, DNS, HTTPS = 4222, 6222, 5432, 53, 443
PORTS = {
    name: next(f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "port")
    for name in SERVICES
}
RENDERED = {"base": render(BASE), "production": render(PRODUCTION)}
DATABASE = {"cnpg.io/cluster": "postgres"}
PRIVATE = (
    "10.1.2.3",
    "172.20.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "127.0.0.1",
    "fd00::1",
    "fe80::1",
    "::1",
)
MAIL = (465, 587)
PUBLIC = ("104.18.6.192", "8.8.8.8", "2606:4700::1")

Labels = dict[str, str]


class Policies:
    """The network policies of one namespace, and what they let through."""

    def __init__(self, documents: list[Document]) -> None:
        self._specs = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]

    def lets_through(self, source: Labels, target: Labels, port: int) -> bool:
        """Tell whether pods with the labels `source` reach those with `target`: both sides must allow it."""
        leaves = self._allows("Egress", source, port, lambda peer: _is_pod(peer, target))
        return leaves and self._allows("Ingress", target, port, lambda peer: _is_pod(peer, source))

    def lets_in(self, target: Labels, port: int, namespace: str) -> bool:
        """Tell whether any pod of another namespace reaches `target`."""
        return self._allows("Ingress", target, port, lambda peer: _is_namespace(peer, namespace))

    def lets_out(self, source: Labels, address: str, port: int, protocol: str = "TCP") -> bool:
        """Tell whether `source` reaches an address outside of the cluster."""
        return self._allows("Egress", source, port, lambda peer: _is_address(peer, address), protocol)

    def _allows(self, direction: str, own: Labels, port: int, is_peer: Any, protocol: str = "TCP") -> bool:
        kind, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
        chosen = [s for s in self._specs if direction in s["policyTypes"] and _matches(s["podSelector"], own)]
        assert chosen, "a pod that no policy chooses is open to everybody"
        return any(
            {"protocol": protocol, "port": port} in rule["ports"]
            and any(is_peer(peer) for peer in rule[peers])
            for spec in chosen
            for rule in spec.get(kind, ())
        )


@pytest.fixture(params=["base", "production"])
def policies(request: pytest.FixtureRequest) -> Policies:
    """The policies of a kustomization."""
    return Policies(render(BASE if request.param == "base" else PRODUCTION))


def labels(name: str) -> Labels:
    """Return the labels of a workload's pods."""
    return next(pod.labels for pod in pods(RENDERED["production"]) if pod.name == name)


def test_the_ways_are_those_of_the_code() -> None:
    """Every pod to every port: a way is open when the settings of its container lead there, and else closed."""
    policies = Policies(RENDERED["production"])
    everybody = {pod.name: pod for pod in pods(RENDERED["production"])}
    targets = [("nats", NATS), ("nats", NATS_ROUTE), *PORTS.items()]
    open_ways = {
        (name, target, port)
        for name in everybody
        for target, port in targets
        if policies.lets_through(labels(name), labels(target), port)
    }

    wanted = {("nats", "nats", NATS_ROUTE)}
    for name, pod in everybody.items():
        given = environment_of(pod.main)
        wanted |= {(name, "nats", NATS)} if "RELAY_NATS_URL" in given else set()
        wanted |= {(name, "edge", PORTS["edge"])} if "RELAY_EDGE_URL" in given else set()
    assert open_ways == wanted


def test_who_has_a_schema_reaches_the_database(policies: Policies) -> None:
    """And nobody else: the edge has none."""
    for pod in pods(RENDERED["production"]):
        has_url = any(name.startswith("RELAY_DATABASE_URL") for name in environment_of(pod.main))
        leaves = policies._allows("Egress", pod.labels, POSTGRES, lambda peer: _is_pod(peer, DATABASE))
        assert leaves == has_url, pod.name
        assert has_url == (pod.name in (*SCHEMAS, "migrate", "doctor"))


def test_the_database_lets_in_whoever_has_a_schema() -> None:
    """By the operator's component; its instances are open to each other."""
    policies = Policies(RENDERED["production"])
    for pod in pods(RENDERED["production"]):
        is_owner = pod.name in (*SCHEMAS, "migrate", "doctor")
        assert policies.lets_through(pod.labels, DATABASE, POSTGRES) == is_owner
    assert policies.lets_through(DATABASE, DATABASE, POSTGRES)


def test_only_the_dispatcher_reaches_the_internet(policies: Policies) -> None:
    """By HTTPS alone; and nobody a private address, or the metadata of a cloud."""
    for pod in pods(RENDERED["base"]):
        for address in PUBLIC:
            assert policies.lets_out(pod.labels, address, HTTPS) == (pod.name == "dispatcher"), pod.name
            assert not any(policies.lets_out(pod.labels, address, port) for port in (22, 80, POSTGRES, NATS))
        for address in PRIVATE:
            assert not any(policies.lets_out(pod.labels, address, port) for port in (80, HTTPS, 6443, 10250))


def test_only_auth_reaches_a_mail_server(policies: Policies) -> None:
    """By the ports for handing in messages, and never the metadata of a cloud."""
    for pod in pods(RENDERED["base"]):
        for port in MAIL:
            for address in PUBLIC:
                assert policies.lets_out(pod.labels, address, port) == (pod.name == "auth"), pod.name
            assert not policies.lets_out(pod.labels, "169.254.169.254", port)


def test_only_the_gateway_and_prometheus_come_from_outside(policies: Policies) -> None:
    """The gateway to the edge; Prometheus to what has metrics; nobody else to anything."""
    for pod in pods(RENDERED["base"]):
        ports = [*PORTS.values(), NATS, NATS_ROUTE, 8222]
        reached = {
            space: {port for port in ports if policies.lets_in(pod.labels, port, space)}
            for space in ("gateway", "monitoring", "default")
        }
        assert reached["default"] == set()
        assert reached["gateway"] == ({PORTS["edge"]} if pod.name == "edge" else set())
        assert (PORTS.get(pod.name, 8222) in reached["monitoring"]) == (pod.name in (*SERVICES, "nats"))
        assert NATS not in reached["monitoring"]


def test_every_pod_may_look_up_names(policies: Policies) -> None:
    """At the cluster's own resolver, and at no other."""
    for pod in pods(RENDERED["base"]):
        for protocol in ("UDP", "TCP"):
            assert policies._allows(
                "Egress", pod.labels, DNS, lambda peer: _is_namespace(peer, "kube-system"), protocol
            )
            assert not policies.lets_out(pod.labels, "8.8.8.8", DNS, protocol)


def test_an_external_database_is_one_address() -> None:
    """In the place of the pods of the operator."""
    (change,) = read(DEPLOY / "components/postgres-external/to-database.yaml")
    policies = Policies(
        [merged(each, change) if _is_same(each, change) else each for each in RENDERED["base"]]
    )
    address = change["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"].partition("/")[0]

    assert ip_network(change["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"]).num_addresses == 1
    for pod in pods(RENDERED["base"]):
        assert policies.lets_out(pod.labels, address, POSTGRES) == (
            pod.name in (*SCHEMAS, "migrate", "doctor")
        )


def _is_same(each: Document, change: Document) -> bool:
    return (each["kind"], each["metadata"]["name"]) == (change["kind"], change["metadata"]["name"])


def _matches(selector: Document, own: Labels) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In"
        if own.get(each["key"]) not in each["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= own.items())


def _is_pod(peer: Document, own: Labels) -> bool:
    """Tell whether `peer` means pods of this namespace with these labels."""
    return set(peer) == {"podSelector"} and _matches(peer["podSelector"], own)


def _is_namespace(peer: Document, name: str) -> bool:
    return "namespaceSelector" in peer and _matches(
        peer["namespaceSelector"], {"kubernetes.io/metadata.name": name}
    )


def _is_address(peer: Document, address: str) -> bool:
    if "ipBlock" not in peer:
        return False
    block, sought = peer["ipBlock"], ip_address(address)
    return sought in ip_network(block["cidr"]) and not any(
        sought in ip_network(each) for each in block.get("except", ())
    )

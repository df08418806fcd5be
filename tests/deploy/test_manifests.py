"""The Kubernetes manifests: valid by the API's own schemas, and true to the settings, ports, probes and times of the code."""

import re
from pathlib import Path

import kubernetes_validate
import msgspec
import pytest
from starlette.routing import Route

from services.cli.configuration import KINDS, nats_text
from services.cli.main import relay
from services.cli.secrets import logins, names
from services.devstack.schemas import SCHEMAS
from services.edge.app import create_app
from services.edge.settings import EdgeSettings
from shared import service
from shared.bus import Bus, callees
from shared.contracts.call import PARTIES
from shared.contracts.nats_config import ROUTE, SECOND
from shared.settings import document, load
from tests.browser.pages import pages as console_pages
from tests.deploy.rendering import BASE, DEPLOY, PRODUCTION, Document, merged, read, render
from tests.deploy.workloads import SERVICES, Pod, bytes_of, environment_of, find, pods, settings_of
from tests.observability.document import documented_of

VERSIONS = ("1.30", "1.33", "1.37")  # of Kubernetes; the first is the oldest that docs/operations.md allows
OUTSIDE = {"HTTPRoute", "Cluster"}  # kinds of custom resources, whose schemas this package does not have
PRIVATE = {"/healthz", "/readyz", "/metrics"}  # for whoever runs a service, not for its users
PARAMETER = re.compile(r"\{[^}]+\}")  # of a route's path
GATEWAY_MATCHES_MAX = 64  # in one rule of an HTTPRoute
MARGIN_SECONDS = 15
RENDERED = {"base": render(BASE), "production": render(PRODUCTION)}
CONFIGURATION = nats_text(cluster=True, second_users=True)
AGAIN = "write it anew: relay nats-config --cluster --second-users > deploy/base/nats.conf"
ROOT = DEPLOY.parent


@pytest.fixture(params=list(RENDERED))
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """Everything that a kustomization renders to."""
    return RENDERED[request.param]


def edge_paths() -> set[str]:
    """Return the path of every route of the edge; what all services answer is among them."""
    settings = EdgeSettings()
    return {
        route.path
        for route in create_app(settings, Bus(settings, party="edge")).routes
        if isinstance(route, Route)
    }


def gateway_ways() -> list[tuple[str, bool]]:
    """Return what the component `gateway` lets in: each path, and whether what lies below it comes in too."""
    (route,) = read(DEPLOY / "components/gateway/route.yaml")
    (rule,) = route["spec"]["rules"]
    paths = [match["path"] for match in rule["matches"]]
    assert {path["type"] for path in paths} <= {"Exact", "PathPrefix"}
    return [(path["value"], path["type"] == "PathPrefix") for path in paths]


def ingress_ways() -> list[tuple[str, bool]]:
    """Return the same of the component `ingress`."""
    (route,) = read(DEPLOY / "components/ingress/ingress.yaml")
    (rule,) = route["spec"]["rules"]
    paths = rule["http"]["paths"]
    assert {path["pathType"] for path in paths} <= {"Exact", "Prefix"}
    return [(path["path"], path["pathType"] == "Prefix") for path in paths]


def service_pods(documents: list[Document]) -> dict[str, Pod]:
    """Return the pods of the four services."""
    return {each.name: each for each in pods(documents) if each.kind == "Deployment"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(documents: list[Document], version: str) -> None:
    """By the schema of each version, with no field that it does not know."""
    for each in documents:
        if each["kind"] not in OUTSIDE:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_see_a_slip() -> None:
    """A wrong type, and a misspelt field."""
    edge = find(render(BASE), "Deployment", "edge")
    for field, value in (("replicas", "two"), ("replica", 2)):
        slip = edge | {"spec": edge["spec"] | {field: value}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(slip, VERSIONS[0], strict=True)


def test_every_file_is_part_of_a_kustomization() -> None:
    """A manifest that nothing names is never applied."""
    for folder in [BASE, PRODUCTION, *(DEPLOY / "components").iterdir()]:
        (kustomization,) = read(folder / "kustomization.yaml")
        generated = [name for each in kustomization.get("configMapGenerator", ()) for name in each["files"]]
        patches = [each["path"] for each in kustomization.get("patches", ())]
        named = {*kustomization.get("resources", ()), *generated, *patches, "kustomization.yaml"}
        assert {path.name for path in folder.iterdir()} == {name for name in named if "/" not in name}


def test_the_four_services_are_deployed(documents: list[Document]) -> None:
    """Each as the command of its name, in a Deployment, with an autoscaler and a budget of its own."""
    deployed = service_pods(documents)

    assert set(deployed) == set(SERVICES)
    for name, pod in deployed.items():
        assert pod.main["args"] == [name]
        budget = find(documents, "PodDisruptionBudget", name)
        assert budget["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
        assert find(documents, "HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]["name"] == name
        # Whoever applies this must not undo what the autoscaler has decided.
        assert "replicas" not in find(documents, "Deployment", name)["spec"]


def test_every_variable_is_a_setting_and_none_that_is_required_is_missing(documents: list[Document]) -> None:
    """Of the command that the container runs; a value is one that the setting takes."""
    for pod in pods(documents):
        for container in pod.containers:
            if container["name"] == "nats":
                continue
            command = container["args"][0]
            assert command in relay.commands
            known = {each.variable: each for each in document(settings_of(command))}
            given = {name.removesuffix("_FILE") for name in environment_of(container)}
            assert given <= set(known), (pod.name, container["name"])
            if command in SERVICES:
                required = {each.variable for each in known.values() if each.default is None}
                assert required | {"RELAY_NATS_USER", "RELAY_NATS_PASSWORD"} <= given, pod.name


def test_every_plain_value_is_one_that_its_setting_takes(documents: list[Document]) -> None:
    """Numbers within their bounds, networks that are networks."""
    for name, pod in service_pods(documents).items():
        secrets = {
            f"RELAY_{each}": "ab" * 32 for each in ("KEY_PEPPER", "CODE_PEPPER", "MASTER_KEY", "DATABASE_URL")
        }
        plain = {key: value for key, value in environment_of(pod.main).items() if not key.endswith("_FILE")}
        load(KINDS[name], secrets | plain)


def test_secrets_come_from_files_that_relay_secrets_makes(documents: list[Document]) -> None:
    """Each container reads what is mounted, and only what it is for is mounted."""
    made = {*names(), *(f"database_url{suffix}" for suffix in logins())}
    for pod in pods(documents):
        if pod.name == "nats":
            continue
        (volume,) = pod.spec["volumes"]
        items = {each["path"]: each["key"] for each in volume["secret"]["items"]}
        assert volume["secret"]["secretName"] == "relay"
        assert set(items.values()) <= made
        read_files = set()
        for container in pod.containers:
            (mount,) = container["volumeMounts"]
            files = {value for key, value in environment_of(container).items() if key.endswith("_FILE")}
            assert not {
                each.variable for each in document(settings_of(container["args"][0])) if each.is_secret
            } & set(environment_of(container))
            read_files |= {Path(path).relative_to(mount["mountPath"]).name for path in files}
        assert read_files == set(items), pod.name


def test_each_service_is_given_its_own_secrets_alone(documents: list[Document]) -> None:
    """A dispatcher that is broken into knows nothing of the pepper, an edge nothing of any database."""
    own = {
        "edge": set(),
        "auth": {"key_pepper", "factor_key"},
        "billing": {"code_pepper"},
        "dispatcher": {"master_key"},
    }
    for name, pod in service_pods(documents).items():
        keys = {each["key"] for each in pod.spec["volumes"][0]["secret"]["items"]}
        database = {f"database_url_{name}"} if name in SCHEMAS else set()
        assert keys == {f"nats_password_{name}"} | database | own[name]


def test_ports_are_those_of_the_settings(documents: list[Document]) -> None:
    """Each listens where it does by default, and its probes ask there."""
    for name, pod in service_pods(documents).items():
        port = next(f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "port")
        assert pod.main["ports"] == [{"name": "http", "containerPort": port}]
        assert "RELAY_PORT" not in environment_of(pod.main)
        assert environment_of(pod.main)["RELAY_HOST"] == "0.0.0.0"
    edge = find(documents, "Service", "edge")["spec"]
    assert edge["selector"].items() <= service_pods(documents)["edge"].labels.items()
    assert [(each["port"], each["targetPort"]) for each in edge["ports"]] == [(8080, "http")]


def test_probes_ask_what_the_services_answer(documents: list[Document]) -> None:
    """And the start is given as long as a service waits for bus and database: once for each."""
    routes = edge_paths() & PRIVATE
    for pod in service_pods(documents).values():
        probes = {name: pod.main[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert {each["httpGet"]["path"] for each in probes.values()} <= routes
        assert {each["httpGet"]["port"] for each in probes.values()} == {"http"}
        assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert probes["livenessProbe"]["httpGet"]["path"] == "/healthz"
        start = probes["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] > 2 * service.START_SECONDS


def test_streams_may_end_before_a_pod_is_killed(documents: list[Document]) -> None:
    """What runs may go on for the drain; then what is owed may take as long again, and what is cut has its last words."""
    for name, pod in service_pods(documents).items():
        default = next(f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "drain_seconds")
        drain = float(environment_of(pod.main).get("RELAY_DRAIN_SECONDS", default))
        before = pod.main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        last_words = max(service.GRACE_SECONDS, callees.LAST_WORDS_SECONDS)
        needed = before + 2 * drain + last_words + MARGIN_SECONDS
        assert needed <= pod.spec["terminationGracePeriodSeconds"] <= needed + 60, name
    assert (
        "preStop" in service_pods(documents)["edge"].main["lifecycle"]
    )  # what HTTP clients reach must leave slowly


def test_a_rollout_takes_nothing_away(documents: list[Document]) -> None:
    """New pods are ready before old ones go."""
    for name in SERVICES:
        strategy = find(documents, "Deployment", name)["spec"]["strategy"]["rollingUpdate"]
        assert strategy == {"maxUnavailable": 0, "maxSurge": 1}


def test_pods_may_do_nothing_beyond_their_work(documents: list[Document]) -> None:
    """As Kubernetes calls it: restricted; and with a file system that is read-only, and no way to its API."""
    for pod in pods(documents):
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["securityContext"]["runAsNonRoot"] is True
        assert pod.spec["securityContext"]["runAsUser"] >= 10000
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }, (pod.name, container["name"])  # fmt: skip


def test_memory_is_enough_for_the_bodies_that_a_process_takes(documents: list[Document]) -> None:
    """A process that is killed for its memory breaks every stream that it carries."""
    for name, pod in service_pods(documents).items():
        bodies = next(
            (f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "body_memory_bytes"), 0
        )
        resources = pod.main["resources"]
        assert bytes_of(resources["limits"]["memory"]) >= 2 * bodies + 256 * 2**20
        assert {"cpu", "memory"} == set(resources["requests"])


def test_autoscalers_ask_for_metrics_that_exist(documents: list[Document]) -> None:
    """And below what one process takes."""
    for name in ("edge", "dispatcher"):
        spec = find(documents, "HorizontalPodAutoscaler", name)["spec"]
        (streams,) = [each["pods"] for each in spec["metrics"] if each["type"] == "Pods"]
        assert documented_of(name)[streams["metric"]["name"]].kind == "gauge"
        streams_max = next(f.default for f in msgspec.structs.fields(KINDS[name]) if f.name == "streams_max")
        assert int(streams["target"]["averageValue"]) <= streams_max / 2
    for name in SERVICES:
        spec = find(documents, "HorizontalPodAutoscaler", name)["spec"]
        assert "cpu" in [each["resource"]["name"] for each in spec["metrics"] if each["type"] == "Resource"]
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]


def test_the_schema_is_there_before_a_service_starts(documents: list[Document]) -> None:
    """Each waits for its own, longer than the job may take to be tried again."""
    for name, pod in service_pods(documents).items():
        waiting = pod.spec.get("initContainers", [])
        if name not in SCHEMAS:
            assert not waiting
            continue
        (container,) = waiting
        assert container["args"][:2] == ["migrate", "--wait"]
        assert container["args"][3:] == ["--schema", name]
    (job,) = [each for each in pods(documents) if each.kind == "Job"]
    assert job.main["args"] == ["migrate"]
    passwords = {f"RELAY_DATABASE_PASSWORD_{schema.upper()}_FILE" for schema in SCHEMAS}
    assert set(environment_of(job.main)) == passwords | {"RELAY_DATABASE_URL_FILE"}


def test_images_are_pinned_in_production() -> None:
    """By a tag that is a version."""
    for pod in pods(RENDERED["production"]):
        for container in pod.containers:
            assert re.search(r":\d+\.\d+", container["image"]), container["image"]
            assert not container["image"].startswith("relay:")


def test_the_bus_has_the_configuration_of_the_contracts(documents: list[Document]) -> None:
    """Three servers, and as many copies of what waits."""
    config = next(each for each in documents if each["kind"] == "ConfigMap")
    servers = find(documents, "StatefulSet", "nats")["spec"]["replicas"]

    assert config["data"]["nats.conf"] == CONFIGURATION, AGAIN
    assert servers == 3
    assert environment_of(service_pods(documents)["billing"].main)["RELAY_NATS_REPLICAS"] == str(servers)
    assert len(environment_of(service_pods(documents)["edge"].main)["RELAY_NATS_URL"].split(",")) == servers


def test_the_bus_knows_a_password_for_each_party(documents: list[Document]) -> None:
    """From the same secrets as the parties, and every variable of its configuration is there."""
    (pod,) = [each for each in pods(documents) if each.name == "nats"]
    given = environment_of(pod.main)

    for user in (*PARTIES, *(party + SECOND for party in PARTIES), ROUTE):
        assert f"'key': 'nats_password_{user}'" in given[f"RELAY_NATS_PASSWORD_{user.upper()}"]
    assert set(re.findall(r"\$(RELAY_[A-Z0-9_]+)", CONFIGURATION)) <= set(given)
    for name, service_pod in service_pods(documents).items():
        assert environment_of(service_pod.main)["RELAY_NATS_USER"] == name
        assert name in PARTIES


def test_the_second_users_are_the_same_services_with_other_passwords() -> None:
    """Nothing else changes: each is still given its own secrets, at the same places."""
    folder = DEPLOY / "components/second-users"
    changes = {
        change["metadata"]["name"]: change for path in folder.glob("[!k]*.yaml") for change in read(path)
    }

    assert set(changes) == set(SERVICES)
    for name, before in service_pods(RENDERED["base"]).items():
        after = merged(before.spec, changes[name]["spec"]["template"]["spec"])
        (container,) = after["containers"]
        others = environment_of(before.main) | {"RELAY_NATS_USER": name + SECOND}
        items = {each["path"]: each["key"] for each in before.spec["volumes"][0]["secret"]["items"]}
        assert environment_of(container) == others
        assert {each["path"]: each["key"] for each in after["volumes"][0]["secret"]["items"]} == items | {
            "nats_password": f"nats_password_{name}{SECOND}"
        }


def test_the_bus_leaves_and_keeps_as_its_configuration_says(documents: list[Document]) -> None:
    """Time for its lame duck mode, and room on its disk."""
    text = CONFIGURATION
    lame_duck = int(re.findall(r'lame_duck_duration: "(\d+)s"', text)[0])
    stored_gb = int(re.findall(r"max_file_store: (\d+)GB", text)[0])
    (pod,) = [each for each in pods(documents) if each.name == "nats"]
    (claim,) = find(documents, "StatefulSet", "nats")["spec"]["volumeClaimTemplates"]

    assert pod.spec["terminationGracePeriodSeconds"] >= lame_duck + MARGIN_SECONDS
    assert bytes_of(claim["spec"]["resources"]["requests"]["storage"]) > stored_gb * 10**9
    ports = {each["name"]: each["containerPort"] for each in pod.main["ports"]}
    assert f'http: "0.0.0.0:{ports["monitor"]}"' in text
    assert f'listen: "0.0.0.0:{ports["cluster"]}"' in text
    assert ports["client"] == 4222


@pytest.mark.parametrize("way", ["gateway", "ingress"])
def test_the_way_in_leads_to_what_is_public_and_to_nothing_else(way: str) -> None:
    """Every route of the edge and every page of the console, and neither probes nor metrics, nor what does not exist."""
    ways = gateway_ways() if way == "gateway" else ingress_ways()

    def passes(path: str, entries: list[tuple[str, bool]] = ways) -> bool:
        return any(
            path == each or (is_prefix and path.startswith(each.rstrip("/") + "/"))
            for each, is_prefix in entries
        )

    routes = {PARAMETER.sub("x", path) for path in edge_paths() - PRIVATE}
    public = routes | {page.address(dict.fromkeys(page.parameters, "x")) for page in console_pages()}
    assert [path for path in sorted(public) if not passes(path)] == [], "name the new route or page there"
    assert [each for each in ways if not any(passes(path, [each]) for path in public)] == [], "leads nowhere"
    assert not any(passes(path) for path in (*PRIVATE, *(each + "/" for each in PRIVATE), "/x", "/metric"))


def test_both_ways_in_are_the_same() -> None:
    """And no rule of the route has more matches than Gateway API 1.2 allows."""
    assert gateway_ways() == ingress_ways()
    assert len(gateway_ways()) <= GATEWAY_MATCHES_MAX


def test_the_route_waits_for_streams() -> None:
    """Without time-outs, to the edge's port."""
    (route,) = read(DEPLOY / "components/gateway/route.yaml")
    (rule,) = route["spec"]["rules"]

    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "edge", "port": 8080}]
    assert set(rule) == {"matches", "timeouts", "backendRefs"}
    assert set(route["spec"]) == {"parentRefs", "hostnames", "rules"}


def test_the_ingress_does_not_buffer_and_waits_as_long_as_the_edge() -> None:
    """Nor does it try again what may have been charged."""
    (ingress,) = read(DEPLOY / "components/ingress/ingress.yaml")
    kubernetes_validate.validate(ingress, VERSIONS[0], strict=True)
    said = {key.rpartition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    edge = {f.name: f.default for f in msgspec.structs.fields(KINDS["edge"])}

    assert said["proxy-buffering"] == said["proxy-request-buffering"] == said["proxy-next-upstream"] == "off"
    assert float(said["proxy-read-timeout"]) >= edge["request_seconds_max"]
    assert int(said["proxy-body-size"].removesuffix("m")) * 2**20 >= edge["body_bytes_max"]

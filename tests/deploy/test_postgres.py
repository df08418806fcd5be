"""PostgreSQL by its operator: safe enough for a ledger, and with a connection for everybody."""

import msgspec

from services.billing.app import PAST_CONNECTIONS
from services.cli.configuration import KINDS
from services.cli.secrets import logins
from services.devstack.schemas import SCHEMAS
from tests.deploy.rendering import DEPLOY, PRODUCTION, read, render
from tests.deploy.workloads import find


def test_postgresql_by_the_operator_is_what_the_ledger_needs() -> None:
    """A commit is on two disks before it is answered; the owner may make roles, and nobody is a superuser."""
    (cluster,) = read(DEPLOY / "components/postgres-cluster/postgres.yaml")
    spec = cluster["spec"]

    assert cluster["apiVersion"] == "postgresql.cnpg.io/v1"
    assert spec["instances"] == 3
    assert spec["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}
    assert not {"synchronous_commit", "fsync", "full_page_writes"} & set(spec["postgresql"]["parameters"])
    assert spec["bootstrap"]["initdb"]["owner"] == logins()[""]
    assert spec["bootstrap"]["initdb"]["postInitSQL"] == ["ALTER ROLE relay CREATEROLE"]
    assert spec["enableSuperuserAccess"] is False
    assert 15 <= int(spec["imageName"].rpartition(":")[2]) <= 18


def test_postgresql_has_a_connection_for_every_replica() -> None:
    """At the most that the autoscalers allow, with one more of each during a rollout."""
    (cluster,) = read(DEPLOY / "components/postgres-cluster/postgres.yaml")
    at_most = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    default = {name: {f.name: f.default for f in msgspec.structs.fields(KINDS[name])} for name in SCHEMAS}
    billing = default["billing"]
    lanes = 2 * billing["lanes"]  # one to send batches, and one that waits for locks
    each = {
        "auth": 2 * default["auth"]["database_pool_size"],  # for look-ups, and as many for changes
        "billing": billing["database_pool_size"] + lanes + PAST_CONNECTIONS + 1,  # the last for the outbox
        "dispatcher": default["dispatcher"]["database_pool_size"],
    }
    replicas = {
        name: find(render(PRODUCTION), "HorizontalPodAutoscaler", name)["spec"]["maxReplicas"]
        for name in SCHEMAS
    }

    assert sum(each[name] * (replicas[name] + 1) for name in SCHEMAS) <= 0.9 * at_most

"""The stage of one scenario: a whole cluster, an operator, a tenant with money, and its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.e2e.tenants import Operator, Tenant
from tests.faults.audit import Baseline, audit, measure
from tests.faults.client import Caller
from tests.faults.cluster import Cluster
from tests.faults.verdict import Allowance, Evidence

WARM_UP = 40


class Stage:
    """What a scenario works with. `caller` sends for `tenant`, whose channel leads upstream through `cluster.upstream`."""

    def __init__(self, cluster: Cluster, operator: Operator, tenant: Tenant, baseline: Baseline) -> None:
        self.cluster = cluster
        self.operator = operator
        self.tenant = tenant
        self.caller = Caller(cluster, tenant)
        self._baseline = baseline

    async def queue(self, directive: str, *, key: str, times: int) -> None:
        """Let the upstream answer the next `times` requests with `key` as the directive says."""
        pairs = dict(pair.split("=") for pair in directive.split())
        scenario = {"behaviour": pairs, "match": {"key": key}, "times": times}
        async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
            answer = await http.post(f"{self.cluster.simulator_url}/_sim/scenarios", json=scenario)
            answer.raise_for_status()

    async def audit(self, allow: Allowance | None = None) -> list[Evidence]:
        """Heal, wait for every call of `caller` to end, and let the auditor look; return the evidence in the order of the calls."""
        await self.cluster.heal()
        transcripts = await self.caller.transcripts()
        return await audit(self.cluster, self.operator, transcripts, self._baseline, allow=allow)


@asynccontextmanager
async def set_stage(cluster: Cluster, baseline: Baseline) -> AsyncIterator[Stage]:
    """Yield a stage on a whole cluster that remembers nothing of former ones; the cluster is healed whatever happens on it."""
    await cluster.heal()
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        (await http.post(f"{cluster.simulator_url}/_sim/reset")).raise_for_status()
    cluster.forget()
    try:
        async with cluster.operator() as operator:
            tenant = await operator.make_tenant(upstream_url=cluster.upstream.url)
            yield Stage(cluster, operator, tenant, baseline)
    finally:
        await cluster.heal()


async def warm_up(cluster: Cluster) -> Baseline:
    """Return what the processes have after some requests; those make every pool and cache that there will be.

    Half of them report no usage, so that every dispatcher has loaded what it counts tokens with.
    """
    async with cluster.operator() as operator:
        caller = Caller(cluster, await operator.make_tenant(upstream_url=cluster.upstream.url))
        caller.send_many(WARM_UP)
        caller.send_many(WARM_UP, "hi [[sim usage=never]]")
        assert {one.verdict for one in await caller.transcripts()} == {"complete"}
    cluster.upstream.cut()
    return await measure(cluster)

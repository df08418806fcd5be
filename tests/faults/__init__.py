"""The fault driver: a whole Relay whose every part can fail, clients that remember everything, and an auditor.

A scenario is a test with the fixture `stage` (`stage.py`). It sends, breaks, may heal, and ends with the audit:

    async def test_f6_the_streams_of_a_killed_dispatcher_break_visibly(stage: Stage) -> None:
        calls = stage.caller.send_many(20, "hi [[sim out=200 tps=20]]")
        await asyncio.gather(*(call.has_events(5) for call in calls))

        stage.cluster.dispatchers[0].kill()

        evidence = await stage.audit()
        assert {one.transcript.verdict for one in evidence} == {"broken", "complete"}

The parts, by file:

`stage.py`    `stage.cluster`, `.operator`, `.tenant`, `.caller`, and `await stage.audit(Allowance(…))`: heals, waits for all calls,
              audits, returns the evidence in the order of the calls. Every scenario finds a whole cluster and a journal of the
              simulator that is empty.
`cluster.py`  `cluster.auths`, `.billings`, `.dispatchers`, `.edges`: two processes each. `kill_nats`, `start_nats`,
              `kill_postgres` (immediate stop), `start_postgres`; `database()`, `operator()` go past all proxies.
              `await cluster.heal()` starts what is dead, resumes what is stopped, opens every proxy, disarms every point.
              With other settings: `async with running_cluster(tmp_path, lease_seconds="60") as cluster`, then
              `async with set_stage(cluster, await warm_up(cluster)) as stage`. SETTINGS are short: a lease is 10 s, a drain 5 s.
`process.py`  a process: `kill` `stop` `resume` `terminate` `restart` `start` `wait_ended` `wait_ready` `pid` `is_alive`
              `is_stopped` `exit_status` `log` `memory_bytes` `descriptors`; a replica also `port`, `metrics()`, and its ways
              `nats` and `postgres`.
`proxy.py`    a way between two parties: `delay(s)` `throttle(bytes_per_second)` `drop()`, each for "up" (from the client), "down"
              or "both"; `cut()` (FIN) `reset()` (RST) `refuse()`; `open()` ends all faults. On every way from the start:
              `cluster.edges[0].nats`, `cluster.billings[1].postgres`, `cluster.upstream` (dispatchers to simulator; the simulator
              itself is not to be killed, for its journal is the auditor's). More on demand: `cluster.network.proxy(url)`; a client
              goes through one with `Script(port=proxy.port)`.
failpoints    `cluster.dispatchers[0].arm("dispatcher.end_sent", "crash")`, or `cluster.arm_any(point, action)` in every process
              of its service; `replica = await cluster.fired(point)`. Points and actions: `shared/failpoints.py`.
`client.py`   `caller.send(text, edge=…, is_stream=…, script=Script(leave_after_bytes=…, leave_by="rst", bytes_per_second=…))`
              returns a running `Call`: `has_events(n)`, `leave("fin" | "rst" | "half")`, `transcript()`. A `Transcript` has
              `verdict` (complete, refused, broken, nothing, left), `status`, `error.code`, `events`, `saw_done`, `is_whole`,
              `longest_gap_seconds`. The simulator does what the text says: `[[sim out=100 tps=20 cut=tok:3 cut_mode=rst]]`; all its
              words are in `services/simulator/behaviour.py`.
`verdict.py`  what is wrong with one request, as a pure rule; `Allowance` is what a scenario may expect beyond the common table.
`audit.py`    the auditor: new customers are served on both edges within 15 s; within 60 s nothing is held, waits in the outbox or
              runs anywhere; the invariants hold; every request is judged; nobody has kept memory, descriptors or tasks, ended by
              itself, or logged an exception as an error.
`nemesis.py`  draws faults of all kinds by seed, for `test_seeds.py`; `troubles.py` some of them for the soak.

They are not part of the ordinary run (`norecursedirs`). All of them: `make faults`, a cluster for each worker; one of them: `pytest
tests/faults/test_bus.py -k f21`; one seed: `pytest tests/faults/test_seeds.py --seed 3`. Times in scenarios are those of the
promises (silence, leases), and conditions are waited for, so that a slow machine takes longer and fails no more.
"""

"""Speed, latency, cost and memory of Relay, measured on one machine against its upstream called directly.

`python -m bench` starts a stack of its own in a temporary directory, with the simulator as upstream, and loads both in turns
by the same client with the same requests. Every answer is compared byte for byte with the upstream's own; in the end the
ledger must name each request once and hold nothing. Linux only, because it reads /proc.

    __main__   the command line
    phases     which loads, in which order; one phase is rounds of direct and relayed load
    client     the load generator, a process of its own that costs as little as Python can
    stack      the stack as a child process, what its parts cost, and its ledger
    report     the table, the JSON, and the comparison with an earlier one
"""

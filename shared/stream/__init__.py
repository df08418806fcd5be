"""The stream protocol: one request and its streamed answer between two processes, over a bus that may lose anything.

The *caller* (the edge) asks; a *callee* (a dispatcher) accepts and answers. Nothing here does I/O or reads a clock: a
machine is told what happened and when, and returns the actions that its driver performs (`shared.bus` owns the driver).

    peers       heartbeats between processes: who is alive, and which requests both sides still know
    caller      one request at the caller: open, accept, flow, end, settle
    callee      one accepted attempt at the callee: body in, answer out, last word
    strangers   callees that accepted and are not listened to
    actions     what a machine asks its driver to do
    flow        numbering, credit, acknowledgement and resending, the same in both directions
    frames      the bytes of a frame

Promises, held under loss, repetition, delay and reordering of frames, and under the death or sleep of either side:
the caller's application gets every byte once and in order, or a visible failure, never a silent cut; it gets exactly one
outcome and then exactly one word on the settlement; a callee that nobody listens to is cancelled; and no side sends more
than the other has granted, nor keeps more than one window for resending.

An attempt is identified by request id, attempt number and callee. Messages to the queue of callees, to one process and
for one request travel on subjects that the driver maps; no machine knows a subject.
"""

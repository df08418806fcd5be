"""A simulated OpenAI-compatible provider: a real HTTP/1.1 server whose faults are chosen request by request.

It depends on nothing else of Relay, because it stands in for another company. Everything it answers says that it is
simulated. The path of a request through the modules:

    connection ─▶ desk ─▶ behaviour   which faults and figures apply
                   │      prompt      what was asked
                   │      answer      what a model would have generated, and its usage
                   │      chat        the same as JSON: one body, or the chunks of a stream
                   │      shape       what other providers make of that JSON
                   │      sse, pacing how the chunks are framed, and when each is due
                   │      plan        the bytes of the whole response, each write with its moment
                   ▼
    connection ◀─ player              writes the plan, notes in the journal what the peer got

All between desk and player is pure: equal requests and equal seeds give equal bytes.
"""

"""The local stack: PostgreSQL and NATS from their wheels, started beside the services on one machine.

`postgres` and `nats` each launch one real server on 127.0.0.1 and end it again; `process` is what both share.
They are for `make run` and the tests: a deployment brings its own servers. Linux and macOS.
"""

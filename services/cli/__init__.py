"""`relay`: everything that an operator does, as commands. One module for each noun, and `main` that joins them.

A command asks the running services over the bus, under the operator's own rights; only `audit` and `migrate` speak to the
database. It ends with 0, with 1 and one sentence on standard error when it was refused or failed, or with 2 when it was called
wrongly. A secret is never an argument, since others can read those in the list of processes.

Modules here import nothing heavy at the top, so that `relay --help` comes at once: the bus, the drivers, the services and the
tables are imported where they are used.
"""

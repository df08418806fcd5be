"""`edge` owns HTTP: the OpenAI interface, server-sent events, errors as clients know them.

It asks auth who calls, billing whether it may, and a dispatcher for the answer; it has no database. It promises that what
looks complete is complete, and that whoever leaves is noticed.
"""

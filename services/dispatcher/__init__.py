"""`dispatcher` owns the channels: upstream accounts, their credentials, which model goes where, and every call to them.

It answers `dispatch.*` and `channel.*`, asks billing to extend and settle, and is the only service that calls the outside
world. It keeps no truth in memory: channels are rows, a running answer belongs to the edge that asked for it.
"""

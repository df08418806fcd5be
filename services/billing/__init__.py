"""`billing` owns money: accounts, holds, transfers, prices and usage records, and is the only writer of the ledger.

It answers `billing.*` after the commit, asks nothing of others, and promises the invariants of `services.billing.audit`.
"""

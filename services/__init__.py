"""The processes of Relay: edge, auth, billing and dispatcher, and the tools that start and feed them.

The four services never import each other; they agree through `shared.contracts` and talk over `shared.bus`.
"""

"""Accounts, the people who belong to them, and API keys: who exists, and whether a key is good."""

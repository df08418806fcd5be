"""The shipped catalogue: real models with their prices, limits and capabilities, and how another one differs from what is in force.

It never sets a price by itself: an operator imports it (`relay price import`) after a look at what would change.
"""

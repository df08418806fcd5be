"""What the JSON API takes and gives, one file for each part of the console.

Money is decimal text in USD, exact to the nano-USD; prices are USD per million tokens. Moments are whole seconds of the Unix epoch,
days are those of UTC as `2026-01-31`. A list comes by key, never by offset: `next_cursor` is None on its last page.
"""

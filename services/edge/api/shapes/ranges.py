"""Whole numbers as they may be given: what is out of range is refused before anybody is asked."""

from typing import Annotated

from msgspec import Meta

PageSize = Annotated[int, Meta(ge=1, le=200)]
Count = Annotated[int, Meta(ge=0, le=2_000_000_000)]
Tokens = Annotated[int, Meta(ge=0, le=100_000_000)]
Moment = Annotated[
    int, Meta(ge=0, le=253_402_300_799, description="Seconds since 1970, up to the year 9999.")
]

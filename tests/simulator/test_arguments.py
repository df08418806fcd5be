"""Values made from JSON schemas."""

import msgspec
import pytest

from services.simulator.arguments import sample


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("{}", {}),
        ("null", {}),
        ('{"properties":{"a":{"type":"string"}}}', {}),
        ('{"required":["a"],"properties":{"a":{"type":"string","maxLength":2}}}', {"a": "te"}),
        ('{"required":["a"],"properties":{"a":{"type":"string","minLength":6}}}', {"a": "texttt"}),
        ('{"required":["a","b"],"properties":{"a":{"type":"integer","minimum":3},"b":{"type":"number"}}}',
         {"a": 3, "b": 1}),
        ('{"required":["a"],"properties":{"a":{"type":"integer","exclusiveMinimum":2.5}}}', {"a": 4}),
        ('{"required":["a"],"properties":{"a":{"enum":["x","y"]}}}', {"a": "x"}),
        ('{"required":["a"],"properties":{"a":{"const":null}}}', {"a": None}),
        ('{"required":["a"],"properties":{"a":{"type":["boolean","null"]}}}', {"a": True}),
        ('{"required":["a"],"properties":{"a":{"type":"array","minItems":2,"items":{"type":"null"}}}}',
         {"a": [None, None]}),
        ('{"required":["a"],"properties":{"a":{"anyOf":[{"type":"boolean"},{"type":"null"}]}}}', {"a": True}),
        ('{"required":["a"],"properties":{"a":{"$ref":"#/$defs/t"}},"$defs":{"t":{"enum":[7]}}}', {"a": 7}),
        ('{"allOf":[{"required":["a"]},{"properties":{"a":{"enum":[1]}}}]}', {"a": 1}),
    ],
)  # fmt: skip
def test_the_smallest_value_fits_the_schema(schema: str, value: object) -> None:
    """Only what is required appears, with the first or least value allowed."""
    assert msgspec.json.decode(sample(schema.encode())) == value


def test_a_schema_that_contains_itself_ends() -> None:
    """The depth of a value is bounded."""
    assert sample(b'{"required":["a"],"properties":{"a":{"$ref":"#"}}}').startswith('{"a":{"a":')

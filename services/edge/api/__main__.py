"""Print the OpenAPI document of the JSON API: `python -m services.edge.api`. The console's types are made from it."""

import json
import sys
from importlib.metadata import version

from services.edge.api.openapi import document
from services.edge.api.table import ENDPOINTS


def text() -> str:
    """Return the document as indented JSON with sorted names, so that the same table always gives the same text."""
    return json.dumps(document(ENDPOINTS, version=version("relay")), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

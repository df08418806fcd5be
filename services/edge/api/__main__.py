"""`python -m services.edge.api` prints the OpenAPI document; the console's types are made from it."""

import sys
from importlib.metadata import version

import msgspec

from services.edge.api.openapi import document
from services.edge.api.table import ENDPOINTS

if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode(document(ENDPOINTS, version=version("relay"))), indent=1)
    sys.stdout.write(text.decode() + "\n")

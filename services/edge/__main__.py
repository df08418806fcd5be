"""`python -m services.edge`."""

from services.edge.app import create_app
from services.edge.connection import connections_for
from services.edge.settings import EdgeSettings
from shared.service import run
from shared.settings import load

if __name__ == "__main__":
    settings = load(EdgeSettings)
    run("edge", create_app, settings, http=connections_for(settings))

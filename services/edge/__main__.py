"""`python -m services.edge`."""

from services.edge.app import create_app
from services.edge.settings import EdgeSettings
from shared.service import run
from shared.settings import load

if __name__ == "__main__":
    run("edge", create_app, load(EdgeSettings))

"""`python -m services.edge`."""

from services.edge.serving import serve
from services.edge.settings import EdgeSettings
from shared.settings import load

if __name__ == "__main__":
    serve(load(EdgeSettings))

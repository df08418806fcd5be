"""`python -m services.edge`."""

from functools import partial

from services.edge.app import create_app
from services.edge.connection import connections_for
from services.edge.settings import EdgeSettings
from services.edge.visits import Visits
from shared.service import run
from shared.settings import load

if __name__ == "__main__":
    settings = load(EdgeSettings)
    visits = Visits(access_log=settings.access_log)
    run("edge", partial(create_app, visits=visits), settings, http=connections_for(settings, visits))

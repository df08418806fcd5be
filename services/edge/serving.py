"""The edge as a process: its application behind its own listener, with one count of requests for both."""

from functools import partial

from services.edge.app import create_app
from services.edge.connection import connections_for
from services.edge.settings import EdgeSettings
from services.edge.visits import Visits
from shared.service import run


def serve(settings: EdgeSettings) -> None:
    """Run the edge until a signal ends it in order; the process then exits."""
    visits = Visits(access_log=settings.access_log)
    run("edge", partial(create_app, visits=visits), settings, http=connections_for(settings, visits))

"""The console: its pages, the JSON API behind it, and the playground's chat."""

from importlib.metadata import version

import msgspec
from starlette.routing import BaseRoute, Route

from services.edge.admission import Admission
from services.edge.api import reference
from services.edge.api.access import Access
from services.edge.api.frame import Frame, FrameAt
from services.edge.api.frame import routes as api_routes
from services.edge.api.handlers import HANDLERS
from services.edge.api.openapi import document
from services.edge.api.playground import SessionPrincipals
from services.edge.api.table import ENDPOINTS
from services.edge.chat import ChatEndpoint
from services.edge.mounted import Mounted
from services.edge.pages import Pages
from services.edge.relay import Relay
from services.edge.settings import EdgeSettings
from services.edge.visits import Visits
from shared.bus import Bus


class Console:
    """Everything of the edge that is not `/v1`. Its pages can be shown at once, the rest once it is open."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.pages = Pages(settings.public_url)
        self._settings = settings
        self._frame = FrameAt()
        self._playground = Mounted("playground")

    def open(self, bus: Bus, relay: Relay, admission: Admission, visits: Visits) -> None:
        """Answer the API from now on."""
        settings, access = self._settings, Access(bus, self._settings)
        principals = SessionPrincipals(bus, access)
        self._frame.frame = Frame(bus, settings, access, admission, visits, HANDLERS)
        self._playground.app = ChatEndpoint(
            relay, principals, admission, settings, visits, route="playground"
        )

    def routes(self) -> list[BaseRoute]:
        """Return all its routes."""
        described = document(ENDPOINTS, version=version("relay"))
        text = msgspec.json.encode(described).decode()
        page = reference.page(described, self._settings.public_url)
        pages = self.pages
        return [
            *api_routes(tuple(endpoint for endpoint in ENDPOINTS if endpoint in HANDLERS), self._frame),
            Route("/api/playground/chat/completions", self._playground, methods=["POST"]),
            Route("/openapi.json", lambda request: pages.secured(text, "application/json"), methods=["GET"]),
            Route("/docs", lambda request: pages.secured(page, "text/html"), methods=["GET"]),
            *(_file(pages, name) for name in sorted(pages.names)),
        ]


def _file(pages: Pages, name: str) -> Route:
    return Route("/" + name, lambda request: pages.answer(request, name), methods=["GET"])

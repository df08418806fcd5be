"""`python -m services.dispatcher`."""

from services.dispatcher.app import create_app
from services.dispatcher.settings import DispatcherSettings
from shared.service import run
from shared.settings import load

if __name__ == "__main__":
    run("dispatcher", create_app, load(DispatcherSettings))

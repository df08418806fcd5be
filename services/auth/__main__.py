"""`python -m services.auth` runs one replica."""

import sys

from services.auth.app import create_app
from services.auth.settings import AuthSettings
from shared.service import run
from shared.settings import SettingsError, load

if __name__ == "__main__":
    try:
        settings = load(AuthSettings)
    except SettingsError as error:
        sys.exit(f"auth: {error}")
    run("auth", create_app, settings)

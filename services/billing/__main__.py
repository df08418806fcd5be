"""`python -m services.billing`."""

from services.billing.app import create_app
from services.billing.settings import BillingSettings
from shared.service import run
from shared.settings import load

if __name__ == "__main__":
    run("billing", create_app, load(BillingSettings))

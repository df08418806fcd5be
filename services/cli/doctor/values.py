"""Whether secrets and networks are what the services will take, and what a careful operator would give them. Asks nobody."""

import ipaddress

from services.auth.factor_key import sealer as factor_sealer
from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report
from services.dispatcher.master_key import sealer
from services.edge.settings import EdgeSettings
from shared.settings import Secret, SettingsError

_UNUSED = Secret("postgresql://")


def check(settings: DeploymentSettings, report: Report) -> None:
    """Report what is wrong with the values themselves."""
    _check_secrets(settings, report)
    _check_shared(settings, report)
    _check_proxies(settings, report)


def _check_secrets(given: DeploymentSettings, report: Report) -> None:
    for what, name, secret, take, remedy in (
        ("the master key", "RELAY_MASTER_KEY", given.master_key, lambda: sealer(given.master_key, given.master_key_previous),
         "Restore the key that the channels were sealed with"),
        ("the pepper", "RELAY_KEY_PEPPER", given.key_pepper,
         lambda: AuthSettings(database_url=_UNUSED, key_pepper=given.key_pepper),
         "Restore the pepper that the keys were made with"),
        ("the factor key", "RELAY_FACTOR_KEY", given.factor_key, lambda: factor_sealer(given.factor_key),
         "Restore the key that the authenticators were sealed with"),
        ("the pepper of codes", "RELAY_CODE_PEPPER", given.code_pepper,
         lambda: BillingSettings(database_url=_UNUSED, code_pepper=given.code_pepper),
         "Restore the pepper that the codes were made with"),
    ):  # fmt: skip
        if not secret.reveal():
            report.left_out(f"{what} ({name})")
            continue
        with report.checking(what):
            try:
                take()
            except SettingsError as error:
                report.wrong("settings", _bare(error), remedy)


def _check_shared(settings: DeploymentSettings, report: Report) -> None:
    secrets = {
        "RELAY_MASTER_KEY": settings.master_key.reveal(),
        "RELAY_KEY_PEPPER": settings.key_pepper.reveal(),
        "RELAY_FACTOR_KEY": settings.factor_key.reveal(),
        "RELAY_CODE_PEPPER": settings.code_pepper.reveal(),
        **{f"RELAY_NATS_PASSWORD_{party.upper()}": text for party, text in settings.nats_passwords.items()},
        **{
            f"RELAY_DATABASE_PASSWORD_{name.upper()}": text
            for name, text in settings.database_passwords.items()
        },
    }
    first: dict[str, str] = {}
    for name, value in secrets.items():
        if value and first.setdefault(value, name) != name:
            report.wrong(
                "settings",
                f"{first[value]} and {name} are the same",
                "Give each its own: `relay secrets` makes them",
            )


def _check_proxies(settings: DeploymentSettings, report: Report) -> None:
    if not settings.trusted_proxies:
        return
    with report.checking("the trusted proxies"):
        try:
            EdgeSettings(trusted_proxies=settings.trusted_proxies)
        except SettingsError as error:
            report.wrong(
                "settings", _bare(error), "Name the networks of your proxies as CIDR, separated by commas"
            )
            return
        for text in settings.trusted_proxies:
            if ipaddress.ip_network(text, strict=False).prefixlen == 0:
                report.wrong(
                    "settings",
                    f"RELAY_TRUSTED_PROXIES holds {text}, so that any client can claim any address",
                    "Name the networks of your proxies alone",
                )


def _bare(error: Exception) -> str:
    return str(error).rstrip(".")

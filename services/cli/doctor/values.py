"""Whether secrets and networks are what the services will take, and what a careful operator would give them. Asks nobody."""

import ipaddress

from services.auth.settings import AuthSettings
from services.cli.deployment import DeploymentSettings
from services.cli.doctor.report import Report
from services.dispatcher.master_key import sealer
from services.edge.settings import EdgeSettings
from shared.settings import Secret, SettingsError

_UNUSED = Secret("postgresql://")


def check(settings: DeploymentSettings, report: Report) -> None:
    """Report what is wrong with the values themselves."""
    _check_master_key(settings, report)
    _check_pepper(settings, report)
    _check_shared(settings, report)
    _check_proxies(settings, report)


def _check_master_key(settings: DeploymentSettings, report: Report) -> None:
    if not settings.master_key.reveal():
        report.left_out("the master key (RELAY_MASTER_KEY)")
        return
    with report.checking("the master key"):
        try:
            sealer(settings.master_key, settings.master_key_previous)
        except SettingsError as error:
            report.wrong("settings", _bare(error), "Restore the key that the channels were sealed with")


def _check_pepper(settings: DeploymentSettings, report: Report) -> None:
    if not settings.key_pepper.reveal():
        report.left_out("the pepper (RELAY_KEY_PEPPER)")
        return
    with report.checking("the pepper"):
        try:
            AuthSettings(database_url=_UNUSED, key_pepper=settings.key_pepper)
        except SettingsError as error:
            report.wrong("settings", _bare(error), "Restore the pepper that the keys were made with")


def _check_shared(settings: DeploymentSettings, report: Report) -> None:
    secrets = {
        "RELAY_MASTER_KEY": settings.master_key.reveal(),
        "RELAY_KEY_PEPPER": settings.key_pepper.reveal(),
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

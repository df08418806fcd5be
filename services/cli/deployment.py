"""What the commands of a deployment are told: `relay migrate`, `relay reseal`, `relay doctor`. Everything may be left out."""

from typing import Annotated

import msgspec
from msgspec import Meta

from services.devstack.secrets import SCHEMAS
from shared.contracts.call import PARTIES
from shared.settings import Secret, Settings


class DeploymentSettings(Settings, frozen=True, kw_only=True):
    """Settings of the commands of a deployment. What is left out is not made, and not checked."""

    nats_url: Annotated[
        str,
        Meta(description="NATS server, or several separated by commas, as nats://host:port; empty for none"),
    ] = ""
    nats_password_edge: Annotated[Secret, Meta(description="Password of NATS user edge, to be checked")] = (
        Secret("")
    )
    nats_password_auth: Annotated[Secret, Meta(description="Password of NATS user auth, to be checked")] = (
        Secret("")
    )
    nats_password_billing: Annotated[
        Secret, Meta(description="Password of NATS user billing, to be checked")
    ] = Secret("")
    nats_password_dispatcher: Annotated[
        Secret, Meta(description="Password of NATS user dispatcher, to be checked")
    ] = Secret("")
    nats_password_operator: Annotated[
        Secret,
        Meta(
            description="Password of NATS user operator; RELAY_NATS_USER and RELAY_NATS_PASSWORD go before it"
        ),
    ] = Secret("")
    database_url: Annotated[
        Secret,
        Meta(description="PostgreSQL as its owner, who may create roles and schemas, as postgresql://…"),
    ] = Secret("")
    database_url_auth: Annotated[Secret, Meta(description="RELAY_DATABASE_URL of auth, to be checked")] = (
        Secret("")
    )
    database_url_billing: Annotated[
        Secret, Meta(description="RELAY_DATABASE_URL of billing, to be checked")
    ] = Secret("")
    database_url_dispatcher: Annotated[
        Secret, Meta(description="RELAY_DATABASE_URL of the dispatcher, to be checked")
    ] = Secret("")
    database_password_auth: Annotated[
        Secret,
        Meta(
            description="Password that `relay migrate` gives to the login auth_service; empty to leave it alone"
        ),
    ] = Secret("")
    database_password_billing: Annotated[
        Secret,
        Meta(description="Password that `relay migrate` gives to billing_service; empty to leave it alone"),
    ] = Secret("")
    database_password_dispatcher: Annotated[
        Secret,
        Meta(
            description="Password that `relay migrate` gives to dispatcher_service; empty to leave it alone"
        ),
    ] = Secret("")
    key_pepper: Annotated[Secret, Meta(description="RELAY_KEY_PEPPER of auth, to be checked")] = Secret("")
    factor_key: Annotated[Secret, Meta(description="RELAY_FACTOR_KEY of auth, to be checked")] = Secret("")
    code_pepper: Annotated[Secret, Meta(description="RELAY_CODE_PEPPER of billing, to be checked")] = Secret(
        ""
    )
    master_key: Annotated[
        Secret, Meta(description="RELAY_MASTER_KEY of the dispatcher, to be checked, and for `relay reseal`")
    ] = Secret("")
    master_key_previous: Annotated[
        Secret, Meta(description="RELAY_MASTER_KEY_PREVIOUS of the dispatcher")
    ] = Secret("")
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="RELAY_TRUSTED_PROXIES of the edge, to be checked")
    ] = ()
    edge_url: Annotated[
        str, Meta(description="Where the edge is reached, such as http://edge:8080, to be checked")
    ] = ""

    @property
    def nats_passwords(self) -> dict[str, str]:
        """The password of each party that has one here."""
        return self._given("nats_password_", PARTIES)

    @property
    def database_urls(self) -> dict[str, str]:
        """The database of each service that has one here, by schema."""
        return self._given("database_url_", SCHEMAS)

    @property
    def database_passwords(self) -> dict[str, str]:
        """The password of each service's login that has one here, by schema."""
        return self._given("database_password_", SCHEMAS)

    def _given(self, prefix: str, names: tuple[str, ...]) -> dict[str, str]:
        values = msgspec.structs.asdict(self)
        return {name: values[prefix + name].reveal() for name in names if values[prefix + name].reveal()}

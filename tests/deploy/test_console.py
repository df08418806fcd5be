"""What the console needs of a deployment: one address for edge and auth, mail, and issuers to sign in with."""

import kubernetes_validate
import msgspec
import pytest

from services.auth.settings import AuthSettings
from shared.settings import Secret, document, load
from tests.deploy.rendering import BASE, DEPLOY, PRODUCTION, Document, read, render
from tests.deploy.test_compose import CONTAINERS
from tests.deploy.workloads import environment_of, find, pods

OPTIONAL = ("mail", "issuers")
PROVIDERS = msgspec.json.encode(
    [
        {
            "id": "acme",
            "name": "Acme",
            "issuer": "https://id.acme.example",
            "client_id": "a",
            "client_secret": "b",
        }
    ]
).decode()


def given(documents: list[Document], name: str) -> dict[str, str]:
    """Return the variables of a service's container."""
    return environment_of(next(pod for pod in pods(documents) if pod.name == name).main)


def test_edge_and_auth_know_the_same_address() -> None:
    """By TLS, and the one that the ways in are for: a cookie, a link and a passkey are good there alone."""
    production = render(PRODUCTION)
    (gateway,) = read(DEPLOY / "components/gateway/route.yaml")
    (ingress,) = read(DEPLOY / "components/ingress/ingress.yaml")
    (host,) = gateway["spec"]["hostnames"]

    assert given(production, "edge")["RELAY_PUBLIC_URL"] == f"https://{host}"
    assert given(production, "auth")["RELAY_PUBLIC_URL"] == f"https://{host}"
    assert ingress["spec"]["tls"][0]["hosts"] == [host] == [rule["host"] for rule in ingress["spec"]["rules"]]
    addresses = {CONTAINERS[name]["environment"]["RELAY_PUBLIC_URL"] for name in ("edge", "auth")}
    assert addresses == {"${RELAY_PUBLIC_URL:-http://localhost:8080}"}


@pytest.mark.parametrize("component", OPTIONAL)
def test_a_component_changes_auth_alone(component: str) -> None:
    """To what is valid, with settings that exist, and secrets from files of a Secret of their own."""
    before, after = render(BASE), render(BASE, component)
    auth = find(after, "Deployment", "auth")
    kubernetes_validate.validate(auth, "1.30", strict=True)
    new = given(after, "auth").items() - given(before, "auth").items()
    known = {each.variable: each for each in document(AuthSettings)}

    assert [each for each in after if each not in before and each["kind"] != "NetworkPolicy"] == [auth]
    assert new
    for name, value in new:
        setting = known[name.removesuffix("_FILE")]
        assert setting.is_secret == name.endswith("_FILE")
        if setting.is_secret:
            assert _volume_at(auth, value.rpartition("/")[0])["secretName"] == f"relay-{component}"


def test_both_components_fit_together_and_give_auth_what_it_takes() -> None:
    """With the second users as well: none takes away what another gives."""
    documents = render(BASE, *OPTIONAL, "second-users")
    files = {"SMTP_PASSWORD": "secret", "OIDC_PROVIDERS": PROVIDERS, "KEY_PEPPER": "ab" * 32}
    files |= {
        "FACTOR_KEY": bytes(range(32)).hex(),
        "DATABASE_URL": "postgresql://",
        "NATS_PASSWORD": "secret",
    }
    variables = given(documents, "auth")
    plain = {name: value for name, value in variables.items() if not name.endswith("_FILE")}
    secret = {name.removesuffix("_FILE") for name in variables if name.endswith("_FILE")}

    settings = load(AuthSettings, plain | {f"RELAY_{name}": value for name, value in files.items()})

    assert secret == {f"RELAY_{name}" for name in files}
    assert settings.smtp_host
    assert settings.smtp_password == Secret("secret")
    assert [each.id for each in settings.providers] == ["acme"]
    assert settings.nats_user == "auth_2"


def test_only_auth_knows_of_mail_and_issuers() -> None:
    """With compose, by a file of its own."""
    for name, container in CONTAINERS.items():
        paths = [each["path"] for each in container.get("env_file", ())]
        assert ("auth.env" in paths) == (name == "auth")
        assert all(each["required"] is False for each in container.get("env_file", ()))


def _volume_at(deployment: Document, path: str) -> Document:
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (name,) = [each["name"] for each in container["volumeMounts"] if each["mountPath"] == path]
    (volume,) = [each["secret"] for each in spec["volumes"] if each["name"] == name]
    return dict(volume)

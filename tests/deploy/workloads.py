"""The pods of rendered manifests, as the tests ask about them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from services.cli.configuration import KINDS
from services.cli.deployment import DeploymentSettings
from shared.settings import Settings
from tests.deploy.rendering import Document

SERVICES = ("edge", "auth", "billing", "dispatcher")
BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Pod(NamedTuple):
    """The pods of one workload: its kind, its name, and their labels and specification."""

    kind: str
    name: str
    labels: dict[str, str]
    spec: Document

    @property
    def containers(self) -> list[Document]:
        """Every container, those that run before the others first."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def main(self) -> Document:
        """The container that the pod is for."""
        (container,) = self.spec["containers"]
        return dict(container)


def pods(documents: list[Document]) -> Iterator[Pod]:
    """Yield the pods of every workload."""
    for document in documents:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        template = spec.get("template")
        if isinstance(template, dict) and "containers" in template["spec"]:
            yield Pod(
                document["kind"],
                document["metadata"]["name"],
                template["metadata"]["labels"],
                template["spec"],
            )


def environment_of(container: Document) -> dict[str, str]:
    """Return the variables of a container by name; of one that comes from elsewhere, where from."""
    return {each["name"]: str(each.get("value", each.get("valueFrom"))) for each in container.get("env", ())}


def settings_of(command: str) -> type[Settings]:
    """Return the settings that `relay <command>` reads."""
    return KINDS[command] if command in SERVICES else DeploymentSettings


def bytes_of(quantity: str) -> int:
    """Return a quantity of the API, such as 512Mi, in bytes."""
    return int(quantity[:-2]) * BYTES[quantity[-2:]]


def find(documents: list[Document], kind: str, name: str) -> Any:
    """Return one object."""
    (found,) = [each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found

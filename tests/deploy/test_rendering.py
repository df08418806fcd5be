"""That our rendering is Kustomize's, wherever there is a Kustomize to ask."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendering import BASE, MERGE_KEYS, PRODUCTION, Document, merged, render


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda folder: folder.name)
def test_kubectl_renders_the_same(folder: Path) -> None:
    """Object by object, but for the order of lists whose elements have names, and the hash of generated names."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed, which no package index that this project uses offers")

    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    theirs = re.sub(r"(name: nats)-[a-z0-9]{10}\b", r"\1", done.stdout)
    assert by_name(list(yaml.safe_load_all(theirs))) == by_name(render(folder))


def test_a_patch_changes_what_it_names_and_leaves_the_rest() -> None:
    """Elements of a list by their key, as the API lays them over each other."""
    base = {
        "containers": [{"name": "a", "args": ["x", "y"], "env": [{"name": "E", "value": "1"}]}],
        "kept": 1,
    }
    patch = {
        "containers": [{"name": "a", "args": ["z"], "env": [{"name": "F", "value": "2"}]}, {"name": "b"}]
    }

    assert merged(base, patch) == {
        "containers": [
            {"name": "a", "args": ["z"], "env": [{"name": "E", "value": "1"}, {"name": "F", "value": "2"}]},
            {"name": "b"},
        ],
        "kept": 1,
    }
    assert base["containers"] == [{"name": "a", "args": ["x", "y"], "env": [{"name": "E", "value": "1"}]}]


def by_name(documents: list[Document]) -> dict[tuple[str, str], Any]:
    """Return objects by kind and name, with keyed lists in one order."""
    named = {(each["kind"], each["metadata"]["name"]): ordered(each) for each in documents}
    assert len(named) == len(documents)
    return named


def ordered(node: Any, name: str = "") -> Any:
    """Return a document whose keyed lists are sorted."""
    if isinstance(node, dict):
        return {key: ordered(value, key) for key, value in node.items()}
    if isinstance(node, list):
        elements = [ordered(element) for element in node]
        return (
            sorted(elements, key=lambda each: str(each[MERGE_KEYS[name]])) if name in MERGE_KEYS else elements
        )
    return node

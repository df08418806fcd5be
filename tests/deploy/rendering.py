"""As much of Kustomize as deploy/ uses, so that its tests need no program that no package index has.

`test_rendering.py` compares the outcome with that of `kubectl kustomize`, where kubectl is installed. Left out on purpose: the hash
in the names of generated ConfigMaps.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

DEPLOY = Path(__file__).parents[2] / "deploy"
BASE = DEPLOY / "base"
PRODUCTION = DEPLOY / "overlays/production"
# By what the elements of a list are told apart when one is laid over another (the API's own patchMergeKey); others are replaced.
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
WITHOUT_NAMESPACE = {"Namespace"}
UNDERSTOOD = {
    "apiVersion", "kind", "resources", "components", "labels", "configMapGenerator", "patches", "images", "namespace",
}  # fmt: skip


def render(folder: Path, *components: str) -> list[Document]:
    """Return every object of a kustomization, as it would be applied, with the components of these names besides."""
    objects = _extended([], folder)
    for name in components:
        objects = _extended(objects, DEPLOY / "components" / name)
    return objects


def read(path: Path) -> list[Document]:
    """Return the documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def merged(base: Any, patch: Any, name: str = "") -> Any:
    """Return `base` with `patch` laid over it (a strategic merge); neither is changed."""
    if isinstance(base, dict) and isinstance(patch, dict):
        names = [*base, *(key for key in patch if key not in base)]
        return {
            key: merged(base.get(key), patch[key], key) if key in patch else copy.deepcopy(base[key])
            for key in names
        }
    if isinstance(base, list) and isinstance(patch, list) and name in MERGE_KEYS:
        key = MERGE_KEYS[name]
        changes = {element[key]: element for element in patch}
        kept = [merged(element, changes.pop(element[key], {})) for element in base]
        return kept + [copy.deepcopy(element) for element in changes.values()]
    return copy.deepcopy(patch)


def _extended(objects: list[Document], folder: Path) -> list[Document]:
    """Return `objects` with what the kustomization in `folder` adds to them and changes of them."""
    (kustomization,) = read(folder / "kustomization.yaml")
    assert set(kustomization) <= UNDERSTOOD, f"{folder}: teach this module {set(kustomization) - UNDERSTOOD}"
    objects = list(objects)
    for resource in kustomization.get("resources", ()):
        path = folder / resource
        objects += render(path) if path.is_dir() else read(path)
    for component in kustomization.get("components", ()):
        objects = _extended(objects, folder / component)
    for generated in kustomization.get("configMapGenerator", ()):
        data = {name: (folder / name).read_text() for name in generated["files"]}
        metadata = {"name": generated["name"]}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for patch in kustomization.get("patches", ()):
        (change,) = read(folder / patch["path"])
        objects = [_patched(each, change, patch.get("target")) for each in objects]
    for change in kustomization.get("images", ()):
        _set_images(objects, change)
    for each in objects:
        _label(each, kustomization.get("labels", ()))
        if "namespace" in kustomization and each["kind"] not in WITHOUT_NAMESPACE:
            each["metadata"]["namespace"] = kustomization["namespace"]
    return objects


def _patched(each: Document, change: Document, target: dict[str, str] | None) -> Document:
    name = each["metadata"]["name"]
    if target is None:
        is_meant = each["kind"] == change["kind"] and name == change["metadata"]["name"]
    else:
        assert set(target) == {"kind"}
        is_meant = each["kind"] == target["kind"]
    if not is_meant:
        return each
    after: Document = merged(each, change)
    after["metadata"]["name"] = name
    return after


def _set_images(node: Any, change: dict[str, str]) -> None:
    if isinstance(node, list):
        for element in node:
            _set_images(element, change)
    elif isinstance(node, dict):
        # A name that was changed before is known by what it was changed to, as in Kustomize.
        if isinstance(node.get("image"), str) and node["image"].partition(":")[0] == change["name"]:
            node["image"] = f"{change['newName']}:{change['newTag']}"
        for value in node.values():
            _set_images(value, change)


def _label(each: Document, labels: Any) -> None:
    for label in labels:
        assert label["includeTemplates"]
        for metadata in [each["metadata"], *_template_metadata(each.get("spec"))]:
            metadata["labels"] = metadata.get("labels", {}) | label["pairs"]


def _template_metadata(node: Any) -> list[Document]:
    """Return the metadata of every template of pods, jobs or volumes."""
    if not isinstance(node, dict):
        return []
    found: list[Document] = []
    for key in ("template", "jobTemplate"):
        if isinstance(node.get(key), dict):
            found += [node[key].setdefault("metadata", {}), *_template_metadata(node[key].get("spec"))]
    found += [claim["metadata"] for claim in node.get("volumeClaimTemplates", ())]
    return found

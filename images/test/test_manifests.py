"""The manifests are what the table makes of them, and what the APIs that they are written for accept."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jsonschema
import kubernetes_validate
import pytest
import yaml
from conftest import REPOSITORY, example, full, podman, serving, started

MANIFESTS = REPOSITORY / "images/manifests"
KUBERNETES = "1.34"
LANGUAGES = ["python", "nodejs", "go"]


def load(path: pathlib.Path) -> list[dict]:
    return list(yaml.safe_load_all(path.read_text()))


def strict(schema: object) -> object:
    """The same schema, refusing what it does not know, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
        made.pop("anyOf", None)
    fields = made.get("properties")
    if isinstance(fields, dict) and "additionalProperties" not in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


def custom_resource(schema: dict) -> dict:
    """The schema of a custom resource; what every object has is Kubernetes' own."""
    made = strict(schema)
    made["properties"]["metadata"] = {"type": "object"}
    return made


@pytest.fixture(scope="session")
def knative_schema() -> dict:
    """Knative's own, out of the module that its releases are."""
    told = subprocess.run(
        ["go", "mod", "download", "-json", "knative.dev/serving@v0.51.0"], check=True, stdout=subprocess.PIPE,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "on"}, cwd="/",
    )  # fmt: skip
    folder = pathlib.Path(json.loads(told.stdout)["Dir"])
    crd = yaml.safe_load((folder / "config/core/300-resources/service.yaml").read_text())
    (version,) = (v for v in crd["spec"]["versions"] if v["name"] == "v1")
    return custom_resource(version["schema"]["openAPIV3Schema"])


@pytest.fixture(scope="session")
def openfunction_schema() -> dict:
    kept = json.loads((REPOSITORY / "third_party/openfunction/function.v1beta2.json").read_text())
    return custom_resource(kept["openAPIV3Schema"])


def test_the_manifests_are_made_of_the_table(tmp_path):
    subprocess.run([sys.executable, MANIFESTS / "generate", tmp_path], check=True)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) == 11
    for path in made:
        assert (MANIFESTS / path).read_text() == (tmp_path / path).read_text(), f"{path}: run `make manifests`"


@pytest.mark.parametrize("path", ["kubeless.yaml", *(f"kubernetes/{language}.yaml" for language in LANGUAGES)])
def test_kubernetes_accepts_them(path):
    objects = load(MANIFESTS / path)
    for item in objects:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)
    kinds = ["ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"]
    assert [item["kind"] for item in objects] == (kinds[:1] if path == "kubeless.yaml" else kinds)


def test_the_schemas_refuse_a_mistake():
    (deployment,) = (i for i in load(MANIFESTS / "kubernetes/python.yaml") if i["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_knative_accepts_them(language, knative_schema):
    (service,) = load(MANIFESTS / "knative" / f"{language}.yaml")
    jsonschema.validate(service, knative_schema)
    service["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(service, knative_schema)


@pytest.mark.parametrize("language", LANGUAGES)
def test_openfunction_accepts_them(language, openfunction_schema):
    (function,) = load(MANIFESTS / "openfunction" / f"{language}.yaml")
    jsonschema.validate(function, openfunction_schema)
    function["spec"]["serving"]["template"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(function, openfunction_schema)


def test_the_config_map_names_every_phase_with_an_image_that_is_built():
    data = load(MANIFESTS / "kubeless.yaml")[0]["data"]
    for runtime in json.loads(data["runtime-images"]):
        probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [
            {"name": "x", "livenessProbe": runtime["livenessProbeInfo"]}]}}  # fmt: skip
        kubernetes_validate.validate(probe, KUBERNETES, strict=True)
        for version in runtime["versions"]:
            assert version["name"] == runtime["ID"] + version["version"].replace(".", "")
            phases = [image["phase"] for image in version["images"]]
            assert phases in (["installation", "runtime"], ["compilation", "runtime"])
            for image in version["images"]:
                assert podman("image", "exists", full(image["image"].rpartition("/")[2]), check=False).returncode == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_pods_are_restricted(language):
    """By the rules that a namespace may enforce (Pod Security Standards, restricted)."""
    (deployment,) = (i for i in load(MANIFESTS / "kubernetes" / f"{language}.yaml") if i["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in pod["initContainers"] + pod["containers"]:
        security = container["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]} and security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True


def test_the_dashboard_asks_for_metrics_that_there_are(compiled_hello):
    dashboard = json.loads((MANIFESTS / "grafana-dashboard.json").read_text())
    asked = {
        name.removesuffix("_bucket")
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b((?:function|funchost|process)_\w+)\{", target["expr"])
    }
    options = serving(compiled_hello["python"], example("python", "hello")[1]["function"])
    with started(full("python:3.13"), *options) as container:
        container.call()
        there = set(re.findall(r"^# TYPE (\S+)", container.call("/metrics").body.decode(), re.MULTILINE))
    # These appear when they first happen.
    later = {"function_failures_total", "funchost_rejected_total", "funchost_cancelled_total", "funchost_worker_exits_total"}
    assert asked - later <= there, asked - later - there
    documented = set(re.findall(r"^\| `(\w+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE))
    assert later <= documented
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]}) == len(dashboard["panels"])

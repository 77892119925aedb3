"""How images are built: cleanly written, the same each time, with a list of what they are made of."""

import json
import pathlib
import subprocess

import pytest
from conftest import BUILDERS, CACHE, REPOSITORY, RUNTIMES, full, inspect, podman
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

CONTAINERFILES = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "images").rglob("Containerfile"))
SCRIPTS = [
    f"images/{name}"
    for name in ("base", "build", "collect", "compile-fixture", "conform", "hosts/compile", "hosts/stage", "sizes", "startable")
]


@pytest.mark.parametrize("file", CONTAINERFILES)
def test_hadolint_finds_nothing(file):
    ran = subprocess.run(["hadolint", REPOSITORY / file], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("file", SCRIPTS)
def test_shellcheck_finds_nothing(file):
    ran = subprocess.run(["shellcheck", REPOSITORY / file], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("language", ["python", "nodejs", "go", "conformance"])
def test_every_containerfile_has_the_same_stages(language):
    text = (REPOSITORY / "images" / language / "Containerfile").read_text()
    stages = [line for line in text.splitlines() if line.startswith("FROM ")]
    assert stages == ["FROM ${HOSTS} AS hosts", "FROM docker.io/library/debian:${SUITE}-slim AS root", "FROM scratch"]


def layers(image: str) -> list[str]:
    return inspect(image)["RootFS"]["Layers"]


@pytest.mark.parametrize(
    ("image", "arguments"),
    [
        ("go:distroless", ["VARIANT=distroless"]),
        ("python:3.13", ["SUITE=trixie", "PYTHON=3.13"]),
    ],
)
def test_the_same_inputs_make_the_same_layers(image, arguments):
    again = "localhost/funchost-test/again"
    try:
        podman(
            "build", "--no-cache", "--format=docker", "--timestamp=1754697600", "--tag", again,
            *(f"--build-arg={argument}" for argument in ["HOSTS=localhost/funchost/hosts", *arguments]),
            "--file", REPOSITORY / "images" / image.split(":")[0] / "Containerfile", REPOSITORY,
        )  # fmt: skip
        assert layers(again) == layers(full(image))
    finally:
        podman("rmi", "--force", again, check=False)


@pytest.mark.parametrize("image", [*RUNTIMES, *BUILDERS, "conformance:latest"])
def test_there_is_an_sbom(image):
    text = pathlib.Path(CACHE / "sbom" / f"{image.replace(':', '-')}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert bom["metadata"]["component"]["properties"][0]["value"] == inspect(full(image))["Id"]
    names = {component["purl"].split("@")[0] for component in bom["components"]}
    assert {"pkg:deb/debian/libc6", "pkg:deb/debian/base-files"} <= names
    if image in RUNTIMES:
        own = {"python": "pkg:pypi/bottle", "nodejs": "pkg:npm/express", "go": "pkg:cargo/libloading"}[RUNTIMES[image]]
        assert {"pkg:cargo/hyper", "pkg:cargo/tokio", own} <= names, own
        # What stands in the place of a crate is not that crate.
        assert "pkg:cargo/deno_webgpu" not in names


@pytest.mark.parametrize("image", BUILDERS)
def test_the_sbom_of_a_builder_has_its_tools(image):
    # Each as it says of itself which version it is.
    tools = {
        "python": {"pkg:pypi/pip": ["pip", "--version"]},
        "nodejs": {"pkg:npm/npm": ["npm", "--version"], "pkg:generic/node": ["node", "--version"]},
        "go": {},
    }[BUILDERS[image]]
    bom = json.loads((CACHE / "sbom" / f"{image.replace(':', '-')}.cdx.json").read_text())
    listed = {component["purl"] for component in bom["components"]}
    for purl, command in tools.items():
        said = podman("run", "--rm", "--network=none", full(image), *command).stdout.removeprefix("pip").split()[0]
        assert f"{purl}@{said.removeprefix('v')}" in listed
    if BUILDERS[image] == "go":
        assert any(purl.startswith("pkg:deb/debian/golang-go@") for purl in listed)

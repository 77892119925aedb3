"""Images that others make of ours: the examples beside them."""

import json
import pathlib

import pytest
from conftest import LOCKED, REPOSITORY, full, podman, started

EXAMPLES = REPOSITORY / "images/examples"


@pytest.fixture
def built():
    """Builds an example; its image is gone after the test."""
    made = []

    def build(folder: str, **arguments: str) -> str:
        name = f"localhost/funchost-test/{folder}"
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        podman("build", "--quiet", "--format=docker", "--tag", name, *options, EXAMPLES / folder)
        made.append(name)
        return name

    yield build
    for name in made:
        podman("rmi", "--force", name)


@pytest.mark.parametrize("runtime", ["python:3.13", "python:3.13-distroless"])
def test_a_function_baked_into_our_image(runtime, built):
    with started(built("baked-in", RUNTIME=full(runtime)), *LOCKED) as container:
        assert json.loads(container.call("/?name=Ada").body) == {"hello": "Ada"}


def test_our_host_in_somebody_elses_image(built):
    # The official image cannot be had where there is no registry. What stands for it here has another release of Debian,
    # another Python in a place of its own, and a root file system that is not ours.
    image = built("official-python", BASE=full("python-builder:3.11"), RUNTIME=full("python:3.13"))
    with started(image, *LOCKED) as container:
        assert json.loads(container.call().body)["python"].startswith("3.11.")
        assert podman("healthcheck", "run", container.name, check=False).returncode == 0


def test_the_examples_are_what_the_readme_shows():
    shown = (REPOSITORY / "images/README.md").read_text()
    for example in ("baked-in", "official-python"):
        instructions = [
            line
            for line in pathlib.Path(EXAMPLES / example / "Containerfile").read_text().splitlines()
            if line.startswith(("COPY", "ENV"))
        ]
        assert instructions and all(line in shown for line in instructions)

"""What all tests of images need: podman, containers that are gone after their test, and a client."""

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import time
import uuid
from dataclasses import dataclass
from typing import Callable, Iterator

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent.parent
EXAMPLES = REPOSITORY / "examples"
CACHE = pathlib.Path(os.environ.get("FUNCHOST_CACHE", pathlib.Path.home() / ".cache/funchost")) / "images"
os.environ["CONTAINERS_CONF"] = str(REPOSITORY / "images/podman.conf")

# All that are built: image, and the folder of its Containerfile. A runtime's is named after its language.
IMAGES = dict(
    line.split()[:2] for line in (REPOSITORY / "images/table.txt").read_text().splitlines() if not line.startswith("#")
)
RUNTIMES = {image: folder for image, folder in IMAGES.items() if (REPOSITORY / "runtimes" / folder).is_dir()}
DISTROLESS = {image: language for image, language in RUNTIMES.items() if image.endswith("distroless")}
SLIM = {image: language for image, language in RUNTIMES.items() if image not in DISTROLESS}
BUILDERS = {i: folder.removesuffix("-builder") for i, folder in IMAGES.items() if folder.endswith("-builder")}
# How a cluster that is strict runs containers.
LOCKED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
# How long anything that a test waits for may take before the test fails.
PATIENCE = 60.0


def full(image: str) -> str:
    """The image's name as podman knows it."""
    return f"localhost/funchost/{image}"


def podman(*arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    ran = subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True)
    assert not check or ran.returncode == 0, f"podman {arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran


def inspect(image: str) -> dict:
    return json.loads(podman("image", "inspect", image).stdout)[0]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Container:
    """A container that serves."""

    name: str
    port: int

    def call(self, path: str = "/", method: str = "GET", body: str | None = None, headers: dict | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def logs(self) -> str:
        ran = podman("logs", self.name)
        return ran.stdout + ran.stderr

    def is_running(self) -> bool:
        return podman("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"

    def exit_code(self) -> int:
        """Waits for the end."""
        return int(podman("wait", self.name).stdout)

    def until_ready(self) -> None:
        self.until(lambda: self.call("/readyz").status == 200, "it is not ready")

    def until_logged(self, text: str) -> None:
        """A line may be in the log a moment after what it tells of."""
        self.until(lambda: text in self.logs(), f"it does not log {text!r}")

    def until(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds():
                    return
            assert self.is_running() and time.monotonic() < deadline, f"{otherwise}:\n{self.logs()}"
            time.sleep(0.05)


@contextlib.contextmanager
def started(image: str, *options: object, wait: bool = True) -> Iterator[Container]:
    """A container of this image, published on a free port."""
    name = f"funchost-test-{uuid.uuid4().hex[:12]}"
    try:
        podman("run", "--detach", "--name", name, "--publish", "127.0.0.1::8080", *options, image)
        container = Container(name, 0)
        if wait:
            published = podman("port", name, "8080/tcp").stdout.strip()
            container.port = int(published.rpartition(":")[2])
            container.until_ready()
        yield container
    finally:
        podman("rm", "--force", "--time=0", "--ignore", name, check=False)


def serving(folder: pathlib.Path, function: str) -> list[str]:
    """Options that mount this function, as Kubeless does."""
    module, _, handler = function.rpartition(".")
    return [f"--volume={folder}:/kubeless:ro", f"--env=MOD_NAME={module}", f"--env=FUNC_HANDLER={handler}"]


def trusting() -> list[str]:
    """Options for containers that download: the machine's network, and its authorities where it has some of its own."""
    bundle = os.environ.get("CA_BUNDLE")
    if not bundle:
        return ["--network=host"]
    inside = "/run/ca.crt"
    variables = ["PIP_CERT", "npm_config_cafile", "SSL_CERT_FILE"]
    return ["--network=host", f"--volume={bundle}:{inside}:ro", *(f"--env={name}={inside}" for name in variables)]


def open_to_all(folder: pathlib.Path) -> pathlib.Path:
    """Makes a folder usable by any user, as a volume with fsGroup is."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666 | (path.stat().st_mode & 0o111))
    return folder


def example(language: str, story: str) -> tuple[pathlib.Path, dict]:
    folder = EXAMPLES / language / story
    return folder, json.loads((folder / "calls.json").read_text())


def check_calls(container: Container, calls: list[dict]) -> None:
    """Calls the function as its example says, and compares."""
    for call in calls:
        request, expected = call["request"], call["answer"]
        answer = container.call(request["path"], request["method"], request.get("body"), request.get("headers"))
        assert answer.status == expected["status"], f"{call}: {answer}\n{container.logs()}"
        if "body" in expected:
            assert answer.body.decode() == expected["body"]
        if "json" in expected:
            assert json.loads(answer.body) == expected["json"]


class Hello(dict):
    """The example hello of every language, ready to be mounted. Go's is compiled in its builder when it is asked for."""

    def __init__(self, folders: pytest.TempPathFactory):
        super().__init__()
        self.folders = folders

    def __missing__(self, language: str) -> pathlib.Path:
        mount = self.folders.mktemp(f"hello-{language}")
        folder, told = example(language, "hello")
        for file in folder.iterdir():
            (mount / file.name).write_bytes(file.read_bytes())
        mount.chmod(0o755)
        if language == "go":
            build_go(mount, told["function"].rpartition(".")[2])
        self[language] = mount
        return mount


@pytest.fixture(scope="session")
def compiled_hello(tmp_path_factory: pytest.TempPathFactory) -> Hello:
    return Hello(tmp_path_factory)


def build_go(mount: pathlib.Path, handler: str, check: bool = True) -> subprocess.CompletedProcess:
    """Compiles a function; what has been compiled once is kept for the next test."""
    cache = CACHE / "go-build"
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o777)
    open_to_all(mount)
    return podman(
        "run", "--rm", *trusting(), f"--volume={mount}:/kubeless", f"--volume={cache}:/go-build",
        "--env=GOCACHE=/go-build", "--env=KUBELESS_INSTALL_VOLUME=/kubeless", f"--env=KUBELESS_FUNC_NAME={handler}",
        full("go-builder:latest"), "sh", "-c", "/compile-function.sh $KUBELESS_FUNC_NAME",
        check=check,
    )  # fmt: skip

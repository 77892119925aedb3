"""Runtime images serve, however strictly their containers are run, and end as the contract says."""

import json
import re
import shlex

import pytest
from conftest import LOCKED, REPOSITORY, RUNTIMES, SLIM, check_calls, example, full, inspect, podman, serving, started

# No image knows this user.
ANY_USER = "--user=1471200000:0"


def hello(language: str) -> tuple[str, list[dict]]:
    told = example(language, "hello")[1]
    return told["function"], told["calls"]


@pytest.mark.parametrize("user", [None, ANY_USER], ids=["user-1000", "any-user"])
@pytest.mark.parametrize("image", RUNTIMES)
def test_a_function_is_served_read_only_without_capabilities(image, user, compiled_hello):
    language = RUNTIMES[image]
    function, calls = hello(language)
    options = [*LOCKED, *([user] if user else []), *serving(compiled_hello[language], function)]
    with started(full(image), *options) as container:
        check_calls(container, calls)
        assert container.call("/healthz").body == b"OK"
        status = container.call("/metrics").body.decode()
        assert f'language="{language}"' in status
        # The engine found its place: nothing had to be written, and nothing was missed.
        assert "WARN" not in container.logs() and "ERROR" not in container.logs()


def test_the_command_of_the_readme_serves_an_example():
    shown = re.search(r"^ {4}(docker run .*?)\n\n", (REPOSITORY / "images/README.md").read_text(), re.MULTILINE | re.DOTALL)
    words = shlex.split(shown[1].replace("\\\n", " ").replace("$PWD", str(REPOSITORY)))
    assert words[:3] == ["docker", "run", "--rm"] and words[3:5] == ["-p", "8080:8080"]
    # Port 8080 may be taken here: `started` publishes on one that is free.
    *options, image = words[5:]
    with started(full(image.removeprefix("funchost/")), *options) as container:
        assert container.call().body == b"hello world"
    helped = podman("run", "--rm", full(image.removeprefix("funchost/")), "--help")
    assert "FUNC_HANDLER" in helped.stdout


@pytest.mark.parametrize("image", [name for name in RUNTIMES if name.startswith("python")])
def test_one_host_serves_every_python(image, compiled_hello):
    wanted = image.split(":")[1].removesuffix("-distroless")
    with started(full(image), *LOCKED, *serving(compiled_hello["python"], "hello.handler")) as container:
        container.until_logged(f"hello.handler on CPython {wanted}.")


def test_the_python_images_hold_the_same_host():
    digests = {
        podman("run", "--rm", "--entrypoint=sha256sum", full(image), f"/usr/bin/{file}").stdout
        for image in SLIM
        if image.startswith("python")
        for file in ("funchost-python", "libfunchost_python.so")
    }
    assert len(digests) == 2, digests


@pytest.mark.parametrize("image", RUNTIMES)
def test_the_health_check_tells_alive_from_dead(image, compiled_hello):
    language = RUNTIMES[image]
    with started(full(image), *LOCKED, *serving(compiled_hello[language], hello(language)[0])) as container:
        assert podman("healthcheck", "run", container.name, check=False).returncode == 0, container.logs()
        program = f"funchost-{language}"
        wrong = podman("exec", "--env=FUNC_PORT=1", container.name, program, "--probe", check=False)
        assert wrong.returncode == 1 and "127.0.0.1:1 is not healthy" in wrong.stderr, wrong


@pytest.mark.parametrize("image", RUNTIMES)
def test_sigterm_ends_the_first_process_with_status_0(image, compiled_hello):
    language = RUNTIMES[image]
    options = [*LOCKED, "--env=DRAIN_DELAY=0", *serving(compiled_hello[language], hello(language)[0])]
    with started(full(image), *options) as container:
        podman("kill", "--signal=TERM", container.name)
        assert container.exit_code() == 0, container.logs()


@pytest.mark.parametrize("image", RUNTIMES)
def test_without_a_function_the_container_ends_and_says_why(image, tmp_path):
    tmp_path.chmod(0o755)
    with started(full(image), *LOCKED, *serving(tmp_path, "missing.handler"), wait=False) as container:
        assert container.exit_code() == 65, container.logs()
        # Go's is looked for where it has been compiled to.
        assert ("there is no function.so in /kubeless" if RUNTIMES[image] == "go" else "missing") in container.logs()


def test_the_first_process_reaps_the_orphans_of_a_function(tmp_path):
    # The grandchild outlives its parent, and so becomes the first process's.
    (tmp_path / "orphan.py").write_text(
        "import subprocess\n"
        "def handler(event, context):\n"
        "    return subprocess.run(['sh', '-c', 'sleep 0.1 & echo $!'], stdout=subprocess.PIPE).stdout\n"
    )
    tmp_path.chmod(0o755)
    with started(full("python:3.13"), *LOCKED, *serving(tmp_path, "orphan.handler")) as container:
        orphans = {container.call().body.decode().strip() for _ in range(5)}
        assert all(orphan.isdigit() for orphan in orphans), orphans
        # Sleeping ones end by themselves; what is not reaped stays as a zombie for ever.
        gone = podman(
            "exec", container.name, "timeout", "30", "sh", "-c",
            "for p in " + " ".join(orphans) + "; do while [ -e /proc/$p ]; do :; done; done", check=False
        )  # fmt: skip
        assert gone.returncode == 0, podman("exec", container.name, "ps", "-o", "pid,stat,comm").stdout


@pytest.mark.parametrize("image", RUNTIMES)
def test_labels_say_what_the_host_says(image):
    language = RUNTIMES[image]
    labels = inspect(full(image))["Config"]["Labels"]
    told = json.loads(podman("run", "--rm", full(image), "--describe").stdout)
    assert labels["dev.funchost.language"] == told["language"] == language
    assert labels["dev.funchost.contract"] == told["contract"]
    assert labels["dev.funchost.capabilities"].split(",") == told["capabilities"]
    assert labels["org.opencontainers.image.version"] == told["version"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"

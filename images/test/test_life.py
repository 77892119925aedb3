"""The life of a function as Kubeless lives it: prepared, installed, compiled and run by the commands and images of the
ConfigMap that we hand out."""

import base64
import hashlib
import io
import json
import pathlib
import tarfile
import zipfile

import pytest
import yaml
from conftest import LOCKED, REPOSITORY, build_go, check_calls, example, full, open_to_all, podman, started, trusting

CONFIG = yaml.safe_load((REPOSITORY / "images/manifests/kubeless.yaml").read_text())["data"]
RUNTIMES = {row["ID"]: row for row in json.loads(CONFIG["runtime-images"])}


def local(image: str) -> str:
    """The image that was built here, by the name that it has in the manifests."""
    return full(image.rpartition("/")[2])


def phase(language: str, name: str, version: int = 0) -> dict:
    images = RUNTIMES[language]["versions"][version]["images"]
    return next((image for image in images if image["phase"] == name), {})


def packed(files: dict[str, bytes], content_type: str) -> bytes:
    """A function as `kubeless function deploy` would put it into a ConfigMap."""
    buffer = io.BytesIO()
    if "zip" in content_type:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif "compressedtar" in content_type:
        with tarfile.open(fileobj=buffer, mode="w:xz" if "xz" in content_type else "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    else:
        (content,) = files.values()
        buffer.write(content)
    return base64.encodebytes(buffer.getvalue()) if "base64" in content_type else buffer.getvalue()


def prepare_command(content_type: str, checksum: str, target: str, deps: str | None) -> str:
    """What Kubeless' controller makes of a function's type."""
    steps = ["set -e", "file=/src/function"]
    if "base64" in content_type:
        steps += ["base64 -d < $file > /tmp/func.decoded", "file=/tmp/func.decoded"]
    steps += [f"echo '{checksum}  '$file > /tmp/func.sha256", "sha256sum -c /tmp/func.sha256"]
    if "zip" in content_type:
        steps.append("unzip -o $file -d /kubeless")
    elif "compressedtar" in content_type:
        steps.append("tar xf $file -C /kubeless")
    else:
        steps.append(f"cp $file /kubeless/{target}")
    if deps:
        steps.append(f"cp /src/{deps} /kubeless")
    return "\n".join(steps)


class Volumes:
    """The source and the mount of one function."""

    def __init__(self, folder: pathlib.Path):
        self.source, self.mount = folder / "src", folder / "kubeless"
        self.source.mkdir()
        self.mount.mkdir()
        folder.chmod(0o755)
        open_to_all(self.mount)

    def run(self, image: str, command: str, variables: dict[str, str] | None = None, check: bool = True):
        """Runs the command of an init container, as the user that the pod has."""
        settings = {"KUBELESS_INSTALL_VOLUME": "/kubeless"} | (variables or {})
        self.source.chmod(0o755)
        return podman(
            "run", "--rm", "--cap-drop=ALL", "--read-only", "--tmpfs=/tmp:exec", "--user=1000:1000", *trusting(),
            f"--volume={self.source}:/src:ro", f"--volume={self.mount}:/kubeless", "--workdir=/kubeless",
            *(f"--env={name}={value.replace('$(KUBELESS_INSTALL_VOLUME)', '/kubeless')}" for name, value in settings.items()),
            local(image), "sh", "-c", command, check=check,
        )  # fmt: skip

    def prepare(self, files: dict[str, bytes], content_type: str, target: str, deps: str | None = None, wrong: bool = False):
        content = packed({n: c for n, c in files.items() if n != deps}, content_type)
        (self.source / "function").write_bytes(content)
        if deps:
            (self.source / deps).write_bytes(files.get(deps, b""))
        plain = base64.decodebytes(content) if "base64" in content_type else content
        checksum = "0" * 64 if wrong else hashlib.sha256(plain).hexdigest()
        command = prepare_command(content_type, checksum, target, deps)
        return self.run(CONFIG["provision-image"], command, check=not wrong)


TYPES = ["text", "base64", "base64+zip", "base64+compressedtar", "base64+compressedtar+xz"]


@pytest.mark.parametrize("content_type", TYPES)
def test_prepare_unpacks_every_type(content_type, tmp_path):
    volumes = Volumes(tmp_path)
    files = {"hello.py": b"def handler(event, context):\n    return 'hello'\n"}
    if content_type.startswith("base64+"):
        files["more/data.txt"] = "ä\n".encode()
    volumes.prepare(files, content_type, "hello.py")
    found = {str(p.relative_to(volumes.mount)): p.read_bytes() for p in volumes.mount.rglob("*") if p.is_file()}
    assert found == files


@pytest.mark.parametrize("content_type", ["text", "base64+zip"])
def test_prepare_refuses_another_checksum(content_type, tmp_path):
    volumes = Volumes(tmp_path)
    ran = volumes.prepare({"hello.py": b"pass\n"}, content_type, "hello.py", wrong=True)
    assert ran.returncode != 0 and "FAILED" in ran.stdout, ran
    assert not list(volumes.mount.iterdir())


@pytest.mark.parametrize(
    ("language", "version", "content_type"),
    [
        ("python", 0, "text"),
        ("python", 1, "base64"),
        ("python", 2, "base64+compressedtar"),
        ("nodejs", 0, "base64+zip"),
        ("go", 0, "base64+compressedtar+xz"),
    ],
)
def test_from_source_to_answer_with_a_dependency(language, version, content_type, tmp_path):
    folder, told = example(language, "deps")
    module, _, handler = told["function"].rpartition(".")
    runtime = RUNTIMES[language]
    deps, target = runtime["depName"], module + runtime["fileNameSuffix"]
    left_out = {"calls.json"} | ({"go.sum"} if content_type in ("text", "base64") else set())
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name not in left_out}

    volumes = Volumes(tmp_path)
    volumes.prepare(files, content_type, target, deps)
    install = phase(language, "installation", version)
    if install:
        checksum = hashlib.sha256(files[deps]).hexdigest()
        file = f"/kubeless/{deps}"
        checked = f"echo '{checksum}  {file}' > /tmp/deps.sha256 && sha256sum -c /tmp/deps.sha256 && {install['command']}"
        volumes.run(install["image"], checked, {"KUBELESS_DEPS_FILE": file} | install.get("env", {}))
    compilation = phase(language, "compilation", version)
    if compilation:
        assert compilation["command"] == "/compile-function.sh $KUBELESS_FUNC_NAME"
        build_go(volumes.mount, handler)

    runs = phase(language, "runtime", version)
    variables = {
        "MOD_NAME": module,
        "FUNC_HANDLER": handler,
        "FUNC_TIMEOUT": "180",
        "FUNC_RUNTIME": f"{language}{runtime['versions'][version]['version']}",
        "FUNC_MEMORY_LIMIT": "0",
        "FUNC_PORT": "8080",
        "KUBELESS_INSTALL_VOLUME": "/kubeless",
        **{name: value.replace("$(KUBELESS_INSTALL_VOLUME)", "/kubeless") for name, value in runs.get("env", {}).items()},
    }
    options = [f"--env={name}={value}" for name, value in variables.items()]
    mounted = f"--volume={volumes.mount}:/kubeless"
    with started(local(runs["image"]), *LOCKED, "--user=1000:1000", mounted, *options) as container:
        check_calls(container, told["calls"])


def test_the_compiler_says_what_it_does_not_understand(tmp_path):
    (tmp_path / "broken.go").write_text("package kubeless\n\nfunc Handler() {\n")
    # Kubeless puts an empty one beside every function.
    (tmp_path / "go.mod").write_text("")
    ran = build_go(tmp_path, "Handler", check=False)
    assert ran.returncode != 0 and "broken.go" in ran.stdout + ran.stderr, ran
    assert not (tmp_path / "function.so").exists()

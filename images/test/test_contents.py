"""What is in the images, and what is not."""

import os
import pathlib
import re
import subprocess
import tarfile

import pytest
from conftest import BUILDERS, DISTROLESS, RUNTIMES, SLIM, full, podman

HERE = pathlib.Path(__file__).parent
SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh"}
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", re.DOTALL)
PACKAGE_MANAGERS = {"apt", "apt-get", "dpkg", "rpm", "apk", "pip", "pip3", "npm", "gem", "cargo"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The root file system of an image as an archive, made once."""
    known = {}

    def export(image: str) -> pathlib.Path:
        if image not in known:
            known[image] = tmp_path_factory.mktemp("image") / "root.tar"
            container = podman("create", full(image)).stdout.strip()
            try:
                podman("export", "--output", known[image], container)
            finally:
                podman("rm", container)
        return known[image]

    return export


# One of each language, for container-structure-test unpacks an image again for each of its checks. What the others have
# is looked at below.
@pytest.mark.parametrize("image", ["python:3.13", "nodejs:latest", "go:distroless"])
def test_structure(image, tmp_path):
    archive = tmp_path / "image.tar"
    podman("save", "--quiet", "--format", "docker-archive", "--output", archive, full(image))
    ran = subprocess.run(
        ["container-structure-test", "test", "--driver=tar", f"--image={archive}",
         f"--config={HERE}/structure/{RUNTIMES[image]}.yaml"],
        capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == 0 and "PASS" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize("image", RUNTIMES)
def test_programs(image, exported):
    with tarfile.open(exported(image)) as archive:
        programs = {pathlib.PurePath(m.name).name for m in archive if not m.isdir() and "/bin/" in f"/{m.name}"}
    assert not programs & PACKAGE_MANAGERS
    assert bool(programs & SHELLS) == (image in SLIM), programs & SHELLS


@pytest.mark.parametrize("image", DISTROLESS)
def test_a_distroless_image_has_only_the_host_and_its_language(image, exported):
    with tarfile.open(exported(image)) as archive:
        programs = {m.name for m in archive if not m.isdir() and m.mode & 0o111 and ".so" not in m.name and not m.issym()}
    language = DISTROLESS[image]
    allowed = {f"usr/bin/funchost-{language}"}
    if language == "python":
        allowed.add(f"usr/bin/python{image.split(':')[1].removesuffix('-distroless')}")
    # Scripts of the standard library are read by the interpreter.
    assert {name for name in programs if not name.endswith((".py", ".sh"))} == allowed


@pytest.mark.parametrize("image", RUNTIMES)
def test_nothing_gives_rights_or_takes_changes(image, exported):
    with tarfile.open(exported(image)) as archive:
        members = [m for m in archive if not m.name.startswith(("dev/", "proc/", "sys/"))]
    assert [m.name for m in members if m.mode & 0o6000] == []
    assert {(m.uid, m.gid) for m in members if not m.isdir()} == {(0, 0)}
    writable = {m.name.rstrip("/") for m in members if m.mode & 0o002 and not m.issym()}
    assert writable <= {"tmp"}, writable


@pytest.mark.parametrize("image", RUNTIMES)
def test_every_package_has_its_licence(image, exported):
    with tarfile.open(exported(image)) as archive:
        names = {member.name for member in archive}
    packages = {name.rpartition("/")[2] for name in names if "var/lib/dpkg/status.d/" in name} - {""}
    assert {"libc6", "base-files", "tzdata", "ca-certificates"} <= packages
    assert {p for p in packages if f"usr/share/doc/{p}/copyright" not in names and f"usr/share/doc/{p}" not in names} == set()


@pytest.mark.parametrize("image", RUNTIMES)
def test_no_link_leads_nowhere(image):
    root = pathlib.Path(podman("image", "mount", full(image)).stdout.strip())
    try:
        def target(link: pathlib.Path) -> pathlib.Path:
            to = os.readlink(link)
            return root / to.lstrip("/") if to.startswith("/") else link.parent / to

        links = [path for folder in ("bin", "lib") for path in (root / "usr" / folder).rglob("*") if path.is_symlink()]
        broken = [str(link.relative_to(root)) for link in links if not os.path.lexists(target(link))]
        assert not broken
    finally:
        podman("image", "unmount", full(image))


@pytest.fixture(scope="module")
def debian() -> set[bytes]:
    """The authorities of Debian's releases."""
    found = set()
    for suite in ("bookworm", "trixie", "forky"):
        base, file = f"docker.io/library/debian:{suite}-slim", "/etc/ssl/certs/ca-certificates.crt"
        found |= set(CERTIFICATE.findall(podman("run", "--rm", base, "cat", file).stdout.encode()))
    return found


@pytest.mark.skipif(not os.environ.get("CA_BUNDLE"), reason="the images were built without a CA bundle")
@pytest.mark.parametrize("image", [*RUNTIMES, *BUILDERS])
def test_the_bundle_of_the_build_is_not_left_behind(image, exported, debian):
    handed = set(CERTIFICATE.findall(pathlib.Path(os.environ["CA_BUNDLE"]).read_bytes()))
    with tarfile.open(exported(image)) as archive:
        known = archive.extractfile("etc/ssl/certs/ca-certificates.crt").read()
        bundles = [m.name for m in archive if m.name.startswith("run/secrets/") and m.size]
    assert not bundles
    assert len(set(CERTIFICATE.findall(known))) > 100
    # Debian's own authorities may be in both; what else is in the bundle is the proxy's.
    assert not (handed - debian) & set(CERTIFICATE.findall(known))

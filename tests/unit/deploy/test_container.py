"""The Containerfile copies what exists, installs what is locked, and does not run as root."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
CONTAINER = ROOT / "deploy" / "container"


def instructions() -> list[tuple[str, str]]:
    text = (CONTAINER / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_every_copied_path_exists_and_every_package_is_copied() -> None:
    copied = [words.split()[:-1] for name, words in instructions() if name == "COPY" and "--from" not in words]
    paths = {path for words in copied for path in words}
    assert paths
    assert all((ROOT / path).exists() for path in paths)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(packages["packages"]) <= paths


def test_it_runs_as_a_user_of_its_own_and_is_watched() -> None:
    found = dict(instructions())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found["USER"])
    assert "/healthz" in found["HEALTHCHECK"]
    assert found["ENTRYPOINT"] == '["area4"]'


def test_only_locked_packages_are_installed() -> None:
    runs = " && ".join(words for name, words in instructions() if name == "RUN")
    installs = re.findall(r"pip install (.*?)(?:&&|$)", runs)
    assert len(installs) == 2
    assert all("--require-hashes" in words or "--no-deps" in words for words in installs)


def test_compose_drops_everything() -> None:
    services = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert "no-new-privileges:true" in service["security_opt"]
    assert (CONTAINER / services["gateway"]["build"]["context"] / services["gateway"]["build"]["dockerfile"]).is_file()

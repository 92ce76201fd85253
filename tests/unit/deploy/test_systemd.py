"""The unit is what systemd accepts, and sandboxed as docs/integrators.md says."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

UNIT = Path(__file__).parents[3] / "deploy" / "systemd" / "area4.service"


def unit() -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]  # keys keep their case
    parser.read(UNIT)
    return parser


def test_own_user_and_no_privileges() -> None:
    service = unit()["Service"]
    assert service["User"] == "area4"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0


def test_a_configuration_error_is_not_tried_again() -> None:
    from gateway.errors import ConfigurationError

    assert unit()["Service"]["RestartPreventExitStatus"] == str(ConfigurationError.exit_code)


def test_systemd_accepts_it(tmp_path: Path) -> None:
    """Where systemd is installed, its own checker reads the unit; elsewhere the parser above has read it."""
    checker = shutil.which("systemd-analyze")
    text = UNIT.read_text().replace("/opt/area4/bin/area4", "/bin/true")
    copy = tmp_path / "area4.service"
    copy.write_text(text)
    assert "ExecStart=/bin/true run" in text
    if checker is None:
        return
    told = subprocess.run(
        [checker, "verify", "--man=no", str(copy)], check=False, capture_output=True, text=True, timeout=60
    )
    own = [line for line in (told.stdout + told.stderr).splitlines() if "area4.service" in line]
    assert own == []

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.brokerfiles import port_of, write_mosquitto
from gateway.cli.init import command
from gateway.errors import ConfigurationError
from simulators.embedded_broker import read_access_list

ARGUMENTS = ["--site", "Halle 3", "--opcua", "mill=opc.tcp://192.0.2.10:4840", "--mosquitto"]


def test_the_port_is_the_one_that_the_gateway_dials() -> None:
    assert port_of("mqtts://edge1.example:8884") == 8884
    assert port_of("mqtts://edge1.example") == 8883


@pytest.mark.parametrize("url", ["mqtt://edge1.example:1883", "edge1.example", "mqtts://edge1:port"])
def test_a_broker_without_tls_is_not_written(url: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: mqtts://HOST:PORT"):
        port_of(url)


def test_without_a_pki_configuration_and_access_list_alone(tmp_path: Path) -> None:
    write_mosquitto(tmp_path, url="mqtts://edge1:8884", gateway="edge1", site="Halle 3", pki=None)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["acl", "mosquitto.conf"]
    rules = read_access_list((tmp_path / "acl").read_text())
    assert ("write", "area4/v1/Halle_203/+/data") in rules["edge1"]
    assert rules["watcher"] == [("read", "area4/v1/#")]
    text = (tmp_path / "mosquitto.conf").read_text()
    assert "listener 8884 0.0.0.0\n" in text
    assert "require_certificate true" in text
    assert not [line for line in text.splitlines() if "$" in line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("name", "broker", "told"),
    [("edge.1", "mqtts://b", "--name edge.1"), ("edge1", "mqtt://b", "--broker is mqtt://b")],
)
def test_what_an_access_list_cannot_say_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, broker: str, told: str
) -> None:
    folder = tmp_path / "area4"
    result = CliRunner().invoke(command, [str(folder), "--name", name, "--broker", broker, *ARGUMENTS])
    assert isinstance(result.exception, ConfigurationError)
    assert told in str(result.exception)
    assert not folder.exists()


def test_the_brokers_certificate_names_the_host_that_is_dialled(tmp_path: Path) -> None:
    from security.pki import load_certificates
    from security.pki.profiles import names_of

    folder = tmp_path / "area4"
    result = CliRunner().invoke(
        command, [str(folder), "--name", "edge1", "--broker", "mqtts://hall.example", *ARGUMENTS]
    )
    assert result.exit_code == 0, result.output
    hosts, _ = names_of(load_certificates(folder / "mosquitto/cert.pem")[0])
    assert {"localhost", "hall.example"} <= set(hosts)
    assert (folder / "mosquitto/key.pem").stat().st_mode & 0o777 == 0o600

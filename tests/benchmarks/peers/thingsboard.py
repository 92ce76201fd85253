"""The ThingsBoard gateway with its OPC UA connector, as its documents configure it for subscriptions.

One device for each machine, its signals as telemetry with the server's source time; storage in memory, QoS 1. A plain
broker takes the place of the platform; the benchmark answers the question for its limits: there are none.
"""

import json
from pathlib import Path
from typing import Any

ANSWER = ("v1/devices/me/rpc/response/1", '{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{}}')
"""The gateway sends nothing until the platform has answered its question for limits: here there are none."""

LOGS = {
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "level": "WARNING"}},
    "loggers": {}, "root": {"handlers": ["console"], "level": "WARNING"},
}  # fmt: skip


def command(settings: dict[str, Any]) -> list[str]:
    """Write the configuration; the command line of the gateway."""
    folder = Path(settings["folder"]) / "config"
    folder.mkdir(exist_ok=True)
    (folder / "tb_gateway.json").write_text(json.dumps(_gateway(settings)))
    (folder / "opcua.json").write_text(json.dumps(_connector(settings)))
    (folder / "logs.json").write_text(json.dumps(LOGS))
    python = str(Path(settings["packages"]) / "bin" / "python")
    start = "from thingsboard_gateway.gateway.tb_gateway_service import TBGatewayService as gateway; gateway({!r})"
    return [python, "-c", start.format(str(folder / "tb_gateway.json"))]


def _gateway(settings: dict[str, Any]) -> dict[str, Any]:
    limits = ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits",
              "deviceDpRateLimits")  # fmt: skip
    security = {"type": "tlsPrivateKey", "caCert": settings["mqtt_ca"], "privateKey": settings["mqtt_key"],
                "cert": settings["mqtt_certificate"]}  # fmt: skip
    return {
        "thingsboard": {
            "host": settings["mqtt_host"], "port": settings["mqtt_port"], "remoteShell": False,
            "remoteConfiguration": False, "statistics": {"enable": False}, "maxPayloadSizeBytes": 65_000,
            "minPackSendDelayMS": 50, "minPackSizeToSend": 500, "qos": 1, "security": security,
            "checkConnectorsConfigurationInSeconds": 60, "handleDeviceRenaming": True,
            "reportStrategy": {"type": "ON_RECEIVED"}, "checkingDeviceActivity": {"checkDeviceInactivity": False},
            **dict.fromkeys(limits, "0:0,"),
        },
        "storage": {"type": "memory", "read_records_count": 100, "max_records_count": 100_000},
        "grpc": {"enabled": False},
        "connectors": [{"type": "opcua", "name": "opcua", "configuration": "opcua.json"}],
    }  # fmt: skip


def _connector(settings: dict[str, Any]) -> dict[str, Any]:
    machines: dict[str, list[str]] = {}
    for node in settings["nodes"]:
        machines.setdefault(node.partition(";s=")[2].partition("/")[0], []).append(node)
    mapping = [
        {
            "deviceNodeSource": "path", "deviceNodePattern": f"Root\\.Objects\\.Machines\\.{name}",
            "deviceInfo": {"deviceNameExpression": name, "deviceNameExpressionSource": "constant",
                           "deviceProfileExpression": "default", "deviceProfileExpressionSource": "constant"},
            "attributes": [], "rpc_methods": [], "attributes_updates": [],
            "timeseries": [{"key": node.rpartition("/")[2], "type": "identifier", "value": f"${{{node}}}",
                            "timestampLocation": "sourceTimestamp"} for node in nodes],
        }
        for name, nodes in machines.items()
    ]  # fmt: skip
    identity = {"type": "cert.PEM", "caCert": settings["server_certificate"], "privateKey": settings["key"],
                "cert": settings["certificate_der"], "mode": "SignAndEncrypt"}  # fmt: skip
    return {
        "name": "opcua", "logLevel": "WARNING",
        "server": {
            "url": settings["url"], "uri": settings["application_uri"], "timeoutInMillis": 30_000,
            "scanPeriodInMillis": 3_600_000, "pollPeriodInMillis": 5_000, "enableSubscriptions": True,
            "subCheckPeriodInMillis": 100, "subDataMaxBatchSize": 1000, "subDataMinBatchCreationTimeMs": 200,
            "subscriptionProcessBatchSize": 2000, "sessionTimeoutInMillis": 120_000, "showMap": False,
            "security": "Basic256Sha256", "identity": identity,
        },
        "mapping": mapping,
    }  # fmt: skip

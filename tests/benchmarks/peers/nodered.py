"""Node-RED with the nodes of node-red-contrib-opcua and its own MQTT node: a flow, started without its editor.

The flow is the one of the package's documents for many items: an inject node sends the list once, the client node
subscribes it ("multiple"), a function node makes the message, and the MQTT node publishes it.
"""

import json
from pathlib import Path
from typing import Any

FUNCTION = """\
msg.payload = { node: msg.topic, value: msg.payload.value.value,
    time: msg.payload.sourceTimestamp, status: msg.payload.statusCode.name };
msg.topic = "bench/nodered";
return msg;"""

SETTINGS = """\
module.exports = { uiPort: 0, httpAdminRoot: false, httpNodeRoot: false, disableEditor: true, flowFile: "flows.json",
    credentialSecret: false, logging: { console: { level: "warn" } }, editorTheme: { tours: false },
    nodesDir: %s };
"""


def command(settings: dict[str, Any]) -> list[str]:
    """Write the flow; the command line of Node-RED."""
    folder = Path(settings["folder"])
    items = json.dumps([{"nodeId": node} for node in settings["nodes"]])
    flow = [
        {"id": "tab", "type": "tab", "label": "bench"},
        {"id": "endpoint", "type": "OpcUa-Endpoint", "endpoint": settings["url"], "secpol": "Aes256_Sha256_RsaPss",
         "secmode": "SignAndEncrypt", "none": True, "login": False, "usercert": False},
        {"id": "tls", "type": "tls-config", "cert": settings["mqtt_certificate"], "key": settings["mqtt_key"],
         "ca": settings["mqtt_ca"], "verifyservercert": True},
        {"id": "broker", "type": "mqtt-broker", "broker": settings["mqtt_host"], "port": str(settings["mqtt_port"]),
         "tls": "tls", "usetls": True, "protocolVersion": "5", "keepalive": "60", "cleansession": True,
         "autoConnect": True},
        {"id": "inject", "type": "inject", "z": "tab", "once": True, "onceDelay": 3, "repeat": "",
         "props": [{"p": "topic", "v": "multiple", "vt": "str"}, {"p": "payload", "v": items, "vt": "json"},
                   {"p": "interval", "v": "100", "vt": "num"}],
         "topic": "multiple", "wires": [["client"]]},
        {"id": "client", "type": "OpcUa-Client", "z": "tab", "endpoint": "endpoint", "action": "subscribe",
         "time": "100", "timeUnit": "ms", "deadbandtype": "a", "deadbandvalue": "", "certificate": "l",
         "localfile": settings["certificate"], "localkeyfile": settings["key"],
         "applicationUri": settings["application_uri"], "applicationName": "gateway", "useTransport": False,
         "keepsessionalive": False, "wires": [["function"], [], []]},
        {"id": "function", "type": "function", "z": "tab", "func": FUNCTION, "outputs": 1, "wires": [["out"]]},
        {"id": "out", "type": "mqtt out", "z": "tab", "topic": "", "qos": "1", "retain": "", "broker": "broker"},
    ]  # fmt: skip
    for at, node in enumerate(flow):
        if "wires" in node or node["id"] == "out":
            node.update(x=100 * at, y=100)  # what has no place is taken for a configuration
    (folder / "flows.json").write_text(json.dumps(flow))
    nodes = Path(settings["packages"]) / "node_modules" / "node-red-contrib-opcua"
    (folder / "settings.js").write_text(SETTINGS % json.dumps(str(nodes)))
    program = Path(settings["packages"]) / "node_modules" / "node-red" / "red.js"
    return ["node", str(program), "--userDir", str(folder), "--settings", str(folder / "settings.js")]

"""What one writes in an hour with asyncua and paho: a handler, and one message per value. A peer of the benchmark.

It finds nothing out about machines, stores nothing, and loses values when it is slow; it is here for its cost.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path

from asyncua import Client
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


class Handler:
    """asyncua's subscription handler: publishes each value at once."""

    def __init__(self, mqtt: MqttClient) -> None:
        self._mqtt = mqtt

    def datachange_notification(self, node, value, data) -> None:
        item = data.monitored_item.Value
        time = item.SourceTimestamp
        body = {"value": value, "time": time.isoformat() if time else None, "status": item.StatusCode.name}
        body["node"] = node.nodeid.to_string()
        self._mqtt.publish("bench/plain", json.dumps(body, default=repr), qos=1)


async def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    context = ssl.create_default_context(cafile=settings["mqtt_ca"])
    context.load_cert_chain(settings["mqtt_certificate"], settings["mqtt_key"])
    mqtt = MqttClient(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    mqtt.tls_set_context(context)
    mqtt.max_queued_messages_set(0)
    mqtt.connect(settings["mqtt_host"], settings["mqtt_port"])
    mqtt.loop_start()
    client = Client(settings["url"], timeout=30)
    client.application_uri = settings["application_uri"]
    await client.set_security(
        SecurityPolicyAes256Sha256RsaPss, settings["certificate_der"], settings["key"],
        server_certificate=settings["server_certificate"],
    )  # fmt: skip
    async with client:
        nodes = [client.get_node(node) for node in settings["nodes"]]
        subscription = await client.create_subscription(100, Handler(mqtt))
        for start in range(0, len(nodes), 500):
            await subscription.subscribe_data_change(nodes[start : start + 500], queuesize=100)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""What one writes in an hour with asyncua and paho: a handler, and one message per value. The peer of the benchmark.

It finds nothing out about machines, stores nothing, and loses values when it is slow; it is here for its cost.
"""

import argparse
import asyncio
import json
import ssl

from asyncua import Client, ua
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
        self._mqtt.publish("area4/v1/lab/plain/data", json.dumps(body, default=repr), qos=1)


async def variables(client: Client) -> list:
    namespace = await client.get_namespace_index("http://opcfoundation.org/UA/Machinery/")
    machines = await client.get_node(ua.NodeId(1001, namespace)).get_children()
    found = []

    async def collect(node) -> None:
        for child in await node.get_children(refs=ua.ObjectIds.HierarchicalReferences):
            kind = await child.read_node_class()
            if kind == ua.NodeClass.Variable:
                found.append(child)
            elif kind == ua.NodeClass.Object:
                await collect(child)

    for machine in machines:
        await collect(machine)
    return found


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in (
        "url",
        "uri",
        "cert",
        "key",
        "host",
        "port",
        "mqtt-ca",
        "mqtt-cert",
        "mqtt-key",
        "server-cert",
        "user-cert",
        "user-key",
    ):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    context = ssl.create_default_context(cafile=arguments.mqtt_ca)
    context.load_cert_chain(arguments.mqtt_cert, arguments.mqtt_key)
    mqtt = MqttClient(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    mqtt.tls_set_context(context)
    mqtt.max_queued_messages_set(0)
    mqtt.connect(arguments.host, int(arguments.port))
    mqtt.loop_start()
    client = Client(arguments.url, timeout=30)
    client.application_uri = arguments.uri
    await client.set_security(
        SecurityPolicyAes256Sha256RsaPss, arguments.cert, arguments.key, server_certificate=arguments.server_cert
    )
    await client.load_client_certificate(arguments.user_cert)
    await client.load_private_key(arguments.user_key)
    async with client:
        nodes = await variables(client)
        subscription = await client.create_subscription(100, Handler(mqtt))
        for start in range(0, len(nodes), 500):
            await subscription.subscribe_data_change(nodes[start : start + 500], queuesize=100)
        print(json.dumps({"subscribed": len(nodes)}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

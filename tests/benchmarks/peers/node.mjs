// node-opcua and mqtt.js as their documents show them; a peer of the benchmark.
// Arguments: file with settings; "single" publishes each value, "batched" what has come in 100 ms as one array,
// "machines" the same as one array for each machine.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const settings = JSON.parse(fs.readFileSync(process.argv[2]));
const mode = process.argv[3];
const require = createRequire(path.join(settings.packages, "package.json"));
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const mqtt = require("mqtt");

const broker = mqtt.connect({
  protocol: "mqtts", host: settings.mqtt_host, port: settings.mqtt_port, protocolVersion: 5,
  ca: fs.readFileSync(settings.mqtt_ca), cert: fs.readFileSync(settings.mqtt_certificate),
  key: fs.readFileSync(settings.mqtt_key),
});
await new Promise((resolve) => broker.once("connect", resolve));

const certificates = new OPCUACertificateManager({
  rootFolder: path.join(settings.folder, "node-pki"), automaticallyAcceptUnknownCertificate: true,
});
await certificates.initialize();
const client = opcua.OPCUAClient.create({
  applicationUri: settings.application_uri, certificateFile: settings.certificate, privateKeyFile: settings.key,
  clientCertificateManager: certificates, securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
  securityPolicy: opcua.SecurityPolicy.Aes256_Sha256_RsaPss, endpointMustExist: false,
});
await client.connect(settings.url);
const session = await client.createSession();
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 100, requestedLifetimeCount: 3000, requestedMaxKeepAliveCount: 50,
  maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 0,
});

const machineOf = new Map(settings.nodes.map((node, at) => [node, Math.floor(at / settings.signals)]));
const waiting = new Map();
function changed(node, data) {
  const body = { node, value: data.value.value, time: data.sourceTimestamp.toISOString(), status: data.statusCode.name };
  if (mode === "single") {
    broker.publish("bench/node", JSON.stringify(body), { qos: 1 });
    return;
  }
  const topic = mode === "machines" ? `bench/node/${machineOf.get(node)}` : "bench/node";
  const bodies = waiting.get(topic);
  if (bodies === undefined) waiting.set(topic, [body]);
  else bodies.push(body);
}
if (mode !== "single") {
  setInterval(() => {
    for (const [topic, bodies] of waiting) broker.publish(topic, JSON.stringify(bodies), { qos: 1 });
    waiting.clear();
  }, 100);
}
for (let start = 0; start < settings.nodes.length; start += 500) {
  const part = settings.nodes.slice(start, start + 500);
  const group = opcua.ClientMonitoredItemGroup.create(
    subscription, part.map((nodeId) => ({ nodeId, attributeId: opcua.AttributeIds.Value })),
    { samplingInterval: 0, discardOldest: true, queueSize: 100 }, opcua.TimestampsToReturn.Source);
  group.on("changed", (item, data, index) => changed(part[index], data));
}

// An OPC UA machine-tool server of another stack (node-opcua), for the tests of the gateway.
// One machine with what gateways stumble over, and one that lacks mandatory nodes. It is told what to do by JSON lines
// on standard input and answers each with a JSON line on standard output.
import { createRequire } from "node:module";
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua");
const { nodesets } = require("node-opcua-nodesets");
const { DataType, StatusCodes, Variant, VariantArrayType, coerceLocalizedText, AccessLevelFlag } = opcua;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    certificate: { type: "string" },
    key: { type: "string" },
    pki: { type: "string" },
    "shift-namespaces": { type: "boolean", default: false },
    limit: { type: "string", default: "40" },
    history: { type: "string", multiple: true, default: [] }, // names of variables whose history it keeps
    "refuse-transfer": { type: "boolean", default: false },
    ledger: { type: "string" }, // file for every value that `count` shows
    all: { type: "boolean", default: false }, // the maker's own nodes of every type, for conformance tests
  },
});

const INSTANCES = "urn:area4:foreign:instances";
const PRECEDING = "urn:area4:foreign:shifted";
const limit = Number(options.limit);
const files = {};
for (const name of ["standard", "di", "ia", "machinery", "isa95JobControl", "machineryJobs", "machineTool"]) {
  if (!nodesets[name]) throw new Error(`no nodeset ${name}; there are: ${Object.keys(nodesets).join(" ")}`);
  files[name] = nodesets[name];
}

const certificates = new opcua.OPCUACertificateManager({
  rootFolder: options.pki,
  automaticallyAcceptUnknownCertificate: false,
});
await certificates.initialize();

const server = new opcua.OPCUAServer({
  port: Number(options.port),
  host: "127.0.0.1",
  hostname: "127.0.0.1",
  alternateHostname: [],
  certificateFile: options.certificate,
  privateKeyFile: options.key,
  serverCertificateManager: certificates,
  userCertificateManager: certificates,
  nodeset_filename: Object.values(files),
  securityModes: [opcua.MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [
    opcua.SecurityPolicy.Basic256Sha256,
    opcua.SecurityPolicy.Aes128_Sha256_RsaOaep,
    opcua.SecurityPolicy.Aes256_Sha256_RsaPss,
  ],
  allowAnonymous: true,
  userManager: { isValidUser: (name, password) => name === "reader" && password === "let me read" },
  disableDiscovery: false,
  serverInfo: {
    applicationUri: "urn:area4:foreign:server",
    productUri: "urn:area4:foreign",
    applicationName: { text: "foreign", locale: "en" },
  },
  serverCapabilities: {
    maxSessions: 20,
    operationLimits: {
      maxNodesPerRead: limit,
      maxNodesPerBrowse: limit,
      maxNodesPerWrite: limit,
      maxMonitoredItemsPerCall: limit,
      maxNodesPerTranslateBrowsePathsToNodeIds: limit,
      maxNodesPerMethodCall: limit,
      maxNodesPerRegisterNodes: limit,
    },
  },
});
await server.initialize();

const space = server.engine.addressSpace;
if (options["shift-namespaces"]) space.registerNamespace(PRECEDING);
const own = space.registerNamespace(INSTANCES);
const index = (uri) => space.getNamespaceIndex(uri);
const MACHINERY = index("http://opcfoundation.org/UA/Machinery/");
const TOOLS = index("http://opcfoundation.org/UA/MachineTool/");
const folder = space.findNode(`ns=${MACHINERY};i=1001`);
const type = space.findObjectType("MachineToolType", TOOLS);

const points = new Map();

function remember(name, node, dataType, arrayType, dimensions) {
  points.set(name, { node, dataType, arrayType, dimensions });
  // Event-driven: every change is told, none is sampled away.
  node.minimumSamplingInterval = 0;
}

function set(name, value, status = StatusCodes.Good, time = new Date()) {
  const { node, dataType, arrayType, dimensions } = points.get(name);
  const variant =
    value === undefined ? new Variant({}) : new Variant({ dataType, arrayType, dimensions, value: revive(dataType, value) });
  if (dataType !== DataType.ExtensionObject) return node.setValueFromSource(variant, status, time);
  // setValueFromSource tells nobody of the change of a structure.
  const stamps = { sourceTimestamp: time, serverTimestamp: time };
  node._internal_set_dataValue(new opcua.DataValue({ value: variant, statusCode: status, ...stamps }));
}

function revive(dataType, value) {
  if (Array.isArray(value) && dataType !== DataType.Int64 && dataType !== DataType.UInt64) {
    return value.map((item) => revive(dataType, item));
  }
  switch (dataType) {
    case DataType.Double:
    case DataType.Float:
      return Number(value); // "NaN" and "Infinity" are texts on the way in
    case DataType.ByteString:
      return value === null ? null : Buffer.from(value, "base64");
    case DataType.LocalizedText:
      return value === null ? null : coerceLocalizedText(value);
    case DataType.DateTime:
      return new Date(value);
    case DataType.ExtensionObject:
      return space.constructExtensionObject(order.nodeId, {
        ...value,
        description: value.description.map((text) => coerceLocalizedText(text)),
        workMasterID: value.workMasterID.map(({ description, ...more }) => ({
          ...more,
          description: description === undefined ? undefined : coerceLocalizedText(description),
        })),
      });
    default:
      return value;
  }
}

function variable(parent, name, dataType, value, more = {}) {
  const node = own.addVariable({
    componentOf: parent,
    browseName: name,
    dataType: more.dataTypeId ?? dataType,
    valueRank: more.dimensions ? more.dimensions.length : more.array ? 1 : -1,
    arrayDimensions: more.dimensions,
    minimumSamplingInterval: 0,
  });
  const arrayType = more.dimensions ? VariantArrayType.Matrix : more.array ? VariantArrayType.Array : VariantArrayType.Scalar;
  remember(name, node, DataType[dataType], arrayType, more.dimensions);
  set(name, value, more.status ?? StatusCodes.Good);
  return node;
}

function fill(machine, serial) {
  const texts = { Manufacturer: coerceLocalizedText("Fremde Maschinen GmbH"), SerialNumber: serial };
  texts.ProductInstanceUri = `urn:area4:foreign:${serial}`;
  for (const [name, value] of Object.entries(texts)) {
    const node = machine.getComponentByName("Identification").getPropertyByName(name);
    node.setValueFromSource({ dataType: name === "Manufacturer" ? DataType.LocalizedText : DataType.String, value });
  }
}

const mill = type.instantiate({ browseName: "ForeignMill", organizedBy: folder, namespace: own });
fill(mill, "F-1");
const mode = mill.getComponentByName("Monitoring").getComponentByName("MachineTool").getComponentByName("OperationMode");
remember("OperationMode", mode, DataType.Int32, VariantArrayType.Scalar);
set("OperationMode", 1);
const program = mill.getComponentByName("Production").getComponentByName("ActiveProgram");
remember("Name", program.getPropertyByName("Name"), DataType.String, VariantArrayType.Scalar);
set("Name", "bohren.nc");
remember("NumberInList", program.getPropertyByName("NumberInList"), DataType.UInt16, VariantArrayType.Scalar);
set("NumberInList", 0);
const state = program.getComponentByName("State");
const current = state.getComponentByName("CurrentState");
current.setValueFromSource({ dataType: DataType.LocalizedText, value: coerceLocalizedText("Running") });
const number = current.getPropertyByName("Number");
if (number) number.setValueFromSource({ dataType: DataType.UInt32, value: 1 });

const extra = own.addObject({ componentOf: mill, browseName: "Besonderes" });
variable(extra, "Größe µ/Werkzeug+#1", "Double", 1.5);
variable(extra, "tab\tand\u0001control", "String", "ok");
variable(extra, "温度", "Float", 20.25);
variable(extra, "Int64", "Int64", [0, 17]);
variable(extra, "UInt64", "UInt64", [0xffffffff, 0xffffffff]);
variable(extra, "NotANumber", "Double", "NaN");
variable(extra, "Infinite", "Double", "Infinity");
variable(extra, "Array", "Double", [1, 2.5, "NaN"], { array: true });
variable(extra, "Empty", "Int32", [], { array: true });
variable(extra, "Matrix", "Double", [1, 2, 3, 4, 5, 6], { dimensions: [2, 3] });
variable(extra, "Bytes", "ByteString", "AAEC/w==");
variable(extra, "Text", "LocalizedText", { text: "Öl prüfen", locale: "de-DE" });
variable(extra, "Date", "DateTime", "2026-01-02T03:04:05.678Z");
variable(extra, "Bad", "Double", 1, { status: StatusCodes.BadSensorFailure });
variable(extra, "Uncertain", "Double", 2, { status: StatusCodes.UncertainLastUsableValue });
const jobs = index("http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/");
const order = space.findDataType("ISA95JobOrderDataType", jobs);
variable(
  extra,
  "Job",
  "ExtensionObject",
  {
    jobOrderID: "A-1",
    description: ["Flansch"],
    workMasterID: [{ ID: "WM-7", description: "Programm" }],
    priority: 3,
  },
  { dataTypeId: order.nodeId },
);
// It says that it can be read, is monitored, and then has nothing but a bad status.
variable(extra, "Locked", "Double", 1).isUserReadable = () => false;
points.get("Job").dataType = DataType.ExtensionObject;

// 200 variables, 2 of them unreadable: one says so by its access level, the other cannot be monitored.
let unmonitored;
const many = own.addObject({ componentOf: mill, browseName: "Many" });
for (let i = 0; i < 200; i++) {
  const name = `V${String(i).padStart(3, "0")}`;
  const node = variable(many, name, "Int32", i);
  if (i === 20) node.userAccessLevel = node.accessLevel = AccessLevelFlag.None ?? 0;
  if (i === 120) unmonitored = node.nodeId.toString();
}

const poor = own.addObject({ organizedBy: folder, browseName: "PoorMill", typeDefinition: type.nodeId });
const identification = own.addObject({
  componentOf: poor,
  browseName: { name: "Identification", namespaceIndex: index("http://opcfoundation.org/UA/DI/") },
  typeDefinition: space.findObjectType("MachineToolIdentificationType", TOOLS).nodeId,
});
for (const [name, value] of [["ProductInstanceUri", "urn:area4:foreign:POOR"], ["SerialNumber", "POOR"]]) {
  own
    .addVariable({
      propertyOf: identification,
      browseName: { name, namespaceIndex: index("http://opcfoundation.org/UA/DI/") },
      dataType: "String",
      minimumSamplingInterval: 0,
    })
    .setValueFromSource({ dataType: DataType.String, value });
}

if (options.all) {
  const { build_address_space_for_conformance_testing: build } = require("node-opcua-address-space-for-conformance-testing");
  await build(space, { mass_variables: true });
}
for (const name of options.history) space.installHistoricalDataNode(points.get(name).node, { maxOnlineValues: 100_000 });
if (options["refuse-transfer"]) {
  const refused = new opcua.TransferResult({ statusCode: StatusCodes.BadUserAccessDenied });
  server.engine.transferSubscription = async () => refused;
}

// The largest number of operations that a client asked for in one call, by service, and how often that was too many.
const largest = {};
let refused = 0;
server.on("request", (request) => {
  for (const { itemToMonitor } of request.itemsToCreate ?? []) {
    // As if it were not there: some servers show nodes that they then do not know.
    if (itemToMonitor.nodeId.toString() === unmonitored) itemToMonitor.nodeId = opcua.NodeId.nullNodeId;
  }
  for (const [name, value] of Object.entries(request)) {
    if (!Array.isArray(value) || name.startsWith("_")) continue;
    const service = request.constructor.name;
    largest[service] = Math.max(largest[service] ?? 0, value.length);
  }
});
server.on("response", (response) => {
  if (response.responseHeader.serviceResult.equals(StatusCodes.BadTooManyOperations)) refused++;
});

// Sessions whose user was accepted.
function sessions() {
  const active = Object.values(server.engine._sessions).filter((session) => session.status === "active");
  return active.map((session) => ({
    policy: session.channel?.securityPolicy?.split("#")[1],
    mode: opcua.MessageSecurityMode[session.channel?.securityMode],
    user: session.userIdentityToken?.constructor.name,
  }));
}

// A counter that goes on until the end; what it shows is written down before.
function count(name, path, interval) {
  let value = 0;
  setInterval(() => {
    const time = new Date();
    const line = { kind: "value", machine: "urn:area4:foreign:F-1", path, value: ++value, quality: "good" };
    appendFileSync(options.ledger, JSON.stringify({ ...line, time: time.toISOString().replace("Z", "0000Z") }) + "\n");
    set(name, value, StatusCodes.Good, time);
  }, interval);
}

function drop() {
  for (const endPoint of server.endpoints) endPoint.abruptlyInterruptChannels();
}

await server.start();
const answer = (message) => process.stdout.write(JSON.stringify(message) + "\n");
answer({ ready: server.getEndpointUrl(), namespace: own.index });

const commands = {
  set: ({ name, value, status, time }) => set(name, value, StatusCodes[status ?? "Good"], time ? new Date(time) : new Date()),
  burst: async ({ name, from, count, interval }) => {
    for (let i = 0; i < count; i++) {
      set(name, from + i);
      if (interval) await new Promise((resolve) => setTimeout(resolve, interval));
    }
  },
  sessions: () => ({ sessions: sessions(), subscriptions: server.engine.currentSubscriptionCount }),
  count: ({ name, path, interval }) => count(name, path, interval),
  drop,
  forget: () => {
    for (const session of Object.values(server.engine._sessions)) {
      server.engine.closeSession(session.authenticationToken, true, "Terminated");
    }
    drop();
  },
  calls: () => ({ largest, refused }),
  stop: async () => {
    await server.shutdown(100);
    answer({ stopped: true });
    process.exit(0);
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line);
  try {
    answer({ done: command, ...(await commands[command](parameters)) });
  } catch (error) {
    answer({ failed: command, error: String(error.stack ?? error) });
  }
}
await server.shutdown(100);
process.exit(0);

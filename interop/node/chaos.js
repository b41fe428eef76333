// The official clients as the delivery checker drives them (internal/test/delivery):
// a line of JSON for each call on standard input, and on standard output one for
// each answer, each connection and each message.
import { createInterface } from "node:readline";
import { WebPubSubClient } from "@azure/web-pubsub-client";

const clients = new Map();
const write = (line) => console.log(JSON.stringify(line));

function start(name, url) {
  const c = {
    // An ack id that the client chooses is a new one for each attempt, and then
    // the service cannot tell a repetition. Those given by the caller stay.
    ack: 0,
    client: new WebPubSubClient(url, { messageRetryOptions: { maxRetries: 1000, retryDelayInMs: 100 } }),
    connection: "",
  };
  c.client.on("connected", (e) => {
    c.connection = e.connectionId;
    write({ client: name, connection: c.connection });
  });
  c.client.on("disconnected", (e) => c.stopping || write({ client: name, lost: e.message?.message || "disconnected" }));
  c.client.on("group-message", ({ message: m }) =>
    write({ client: name, connection: c.connection, group: m.group, text: m.data, sequence: m.sequenceId }));
  clients.set(name, c);
  const connected = new Promise((resolve) => c.client.on("connected", resolve));
  return c.client.start().then(() => connected);
}

async function perform({ do: what, client: name, url, group, text, noEcho }) {
  if (what === "start") return start(name, url);
  const c = clients.get(name);
  const ackId = 1_000_000 + c.ack++;
  switch (what) {
    case "join":
      return c.client.joinGroup(group, { ackId });
    case "leave":
      return c.client.leaveGroup(group, { ackId });
    case "send":
      return c.client.sendToGroup(group, text, "text", { noEcho, ackId });
    case "stop":
      c.stopping = true;
      return c.client.stop();
  }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const call = JSON.parse(line);
  try {
    await perform(call);
    write({ id: call.id });
  } catch (err) {
    write({ id: call.id, error: String(err) });
  }
});
lines.on("close", () => process.exit(0));

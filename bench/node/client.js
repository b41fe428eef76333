// The official WebSocket client, doing what client_row.go describes.
import { WebPubSubClient } from "@azure/web-pubsub-client";
import { cpuSeconds, now, percentiles, read, seconds, serveParent, stamp } from "./parent.js";

const [url, group] = process.argv.slice(2);
const inFlight = 16;
const boxes = [];
let client;
let count = 0;
let cpu = 0;
let started = 0;
const numbers = new Array(inFlight).fill(0);

async function connect() {
  const box = { newest: new Map(), took: [], fault: "" };
  client = new WebPubSubClient(url);
  client.on("group-message", ({ message }) => {
    const { sender, number, sent } = read(message.data);
    const want = (box.newest.get(sender) ?? 0) + 1;
    if (number !== want) box.fault = `sender ${sender}: message ${number} came where ${want} was due`;
    box.newest.set(sender, number);
    box.took.push((now() - sent) / 1000);
    count++;
  });
  await client.start();
  boxes.push(box);
}

function begin() {
  for (const b of boxes) b.took = [];
  cpu = cpuSeconds();
  started = performance.now();
}

async function end(all, done) {
  for (const deadline = performance.now() + 20_000; count < all; ) {
    if (performance.now() > deadline) throw new Error(`${count} of ${all} messages arrived: the rest is lost`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const Faults = count > all ? `${count} messages arrived, ${all} were sent` : boxes.map((b) => b.fault).join("");
  return {
    Count: done, CPU: cpuSeconds() - cpu, Seconds: (performance.now() - started) / 1000, Faults,
    ...percentiles(boxes.flatMap((b) => b.took)),
  };
}

async function echo(limit) {
  const before = count;
  let done = 0;
  begin();
  const until = performance.now() + limit * 1000;
  await Promise.all(
    numbers.map(async (_, i) => {
      while (performance.now() < until) {
        await client.sendToGroup(group, stamp(i, ++numbers[i]), "text");
        done++;
      }
    }),
  );
  return end(before + done, done);
}

serveParent("ready", async (line) => {
  const [what, argument] = line.split(" ");
  switch (what) {
    case "connect":
      for (let i = 0; i < Number(argument); i++) await connect();
      return null;
    case "echo":
      return echo(seconds(argument));
    case "begin":
      return begin();
    case "end":
      return end(Number(argument), count);
  }
  throw new Error(`unknown command ${line}`);
});

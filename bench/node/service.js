// Sends to everybody with the official service client.
import { WebPubSubServiceClient } from "@azure/web-pubsub";
import { cpuSeconds, percentiles, seconds, serveParent, stamp } from "./parent.js";

const [connectionString, hub, inflight] = process.argv.slice(2);
const client = new WebPubSubServiceClient(connectionString, hub, { allowInsecureConnection: true });
const numbers = new Array(Number(inflight)).fill(0);

serveParent("ready", async (line) => {
  const end = performance.now() + seconds(line) * 1000;
  const cpu = cpuSeconds();
  const started = performance.now();
  const took = [];
  await Promise.all(
    numbers.map(async (_, i) => {
      while (performance.now() < end) {
        const sent = performance.now();
        await client.sendToAll(stamp(i, ++numbers[i]), { contentType: "text/plain" });
        took.push((performance.now() - sent) / 1000);
      }
    }),
  );
  return { Count: took.length, CPU: cpuSeconds() - cpu, Seconds: (performance.now() - started) / 1000, ...percentiles(took) };
});

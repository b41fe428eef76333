// Speaks with the program that started this one: a line when ready, one line of
// JSON for each line that comes, and the end with the end of the input.
import { createInterface } from "node:readline";

export function serveParent(ready, answer = async () => null) {
  console.log(ready);
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    try {
      console.log(JSON.stringify((await answer(line)) ?? null));
    } catch (err) {
      console.error(err);
      process.exit(1);
    }
  });
  lines.on("close", () => process.exit(0));
}

/** CPU time of this process in seconds. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Reads a duration of Go, which is in s or ms here. */
export function seconds(text) {
  return text.endsWith("ms") ? parseFloat(text) / 1000 : parseFloat(text);
}

/** The 150 bytes of a message: see payload.go. */
export function stamp(sender, number) {
  const nanoseconds = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  const text = `|b:${String(sender).padStart(2, "0")}:${String(number).padStart(8, "0")}:${String(nanoseconds).padStart(19, "0")}|`;
  return text.padEnd(150, "x");
}

/** Milliseconds since the epoch, with the precision of the stamp. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/** Reads a message: who sent it, its number, and when, in milliseconds. */
export function read(text) {
  return { sender: Number(text.slice(3, 5)), number: Number(text.slice(6, 14)), sent: Number(text.slice(15, 34)) / 1e6 };
}

/** p50, p99 and the maximum of a list, by the names of the Go side. */
export function percentiles(list) {
  const v = Float64Array.from(list).sort();
  return { P50: v[v.length >> 1] ?? 0, P99: v[Math.min(v.length - 1, Math.floor((v.length * 99) / 100))] ?? 0, Max: v[v.length - 1] ?? 0 };
}

// A reporter of node --test that tells the harness about each test, one JSON
// object a line.
import { appendFileSync } from "node:fs";

export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const ok = type === "test:pass" && data.skip === undefined && data.todo === undefined;
    appendFileSync(process.env.WEBPUBSUB_RESULTS, `${JSON.stringify({ name: data.name, ok })}\n`);
  }
}

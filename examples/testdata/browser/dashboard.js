import assert from "node:assert/strict";
import { visit } from "./visit.js";

const { REPORT_URL } = process.env; // what is posted there is sent to the group of the page

async function report(r) {
  const response = await fetch(REPORT_URL, { method: "POST", body: JSON.stringify(r) });
  assert.equal(response.status, 200);
}

// Points of a job that is slow in the middle.
const points = (n) => Array.from({ length: n }, (_, i) => [i * 0.5, Math.round(i < 30 ? i * 6 : i < 60 ? 180 + (i - 30) : 210 + (i - 60) * 5)]);

await visit("dashboard", async (page, inspect) => {
  await page.getByText("No job has reported yet").waitFor();
  await inspect("none");
  await page.clock.install();

  // A page that is opened in the middle of a job shows it from its start.
  await report({ id: "a", job: "Import of <b>May</b>", state: "running", done: 260, total: 400, points: points(71) });
  const job = page.getByRole("article", { name: "Import of <b>May</b>" });
  await job.getByText("260 of 400").waitFor();
  await job.getByText("6.4 per s").waitFor();
  await job.getByRole("img", { name: "260 of 400 items after 35 s" }).waitFor();
  assert.equal(await job.getByRole("progressbar", { name: "Progress" }).getAttribute("value"), "260");
  assert.equal((await job.locator("path.line").getAttribute("d")).split("L").length, 71);

  await report({ id: "b", job: "Thumbnails", state: "running", done: 3, total: 10, points: [[0, 0], [1, 3]] });
  await report({ id: "b", job: "Thumbnails", state: "failed", error: "picture 4 is not a picture", done: 3, total: 10, points: [[0, 0], [1, 3], [1.5, 3]] });
  await page.getByRole("article", { name: "Thumbnails" }).getByText("picture 4 is not a picture").waitFor();
  await inspect("jobs");

  // A job whose process was killed sends nothing more, and is not shown as running.
  await page.clock.fastForward(11_000);
  await job.getByText("No reports").waitFor();
  await report({ id: "a", job: "Import of <b>May</b>", state: "succeeded", done: 400, total: 400, points: points(99) });
  await job.getByText("Succeeded").waitFor();
  await page.clock.fastForward(11_000);
  assert.equal(await page.getByText("No reports").count(), 0);

  for (let i = 0; i < 9; i++) await report({ id: `j${i}`, job: `Job ${i}`, state: "succeeded", done: 1, total: 1, points: [[0, 1]] });
  await page.getByRole("article", { name: "Job 8" }).waitFor();
  assert.equal(await page.getByRole("article").count(), 8, "the page keeps every job");
});

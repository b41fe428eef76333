import assert from "node:assert/strict";
import { visit } from "./visit.js";

const { STOP_URL } = process.env; // a request to it ends the device kitchen

await visit("devices", async (page, inspect) => {
  const kitchen = page.getByRole("article", { name: "kitchen" });
  await kitchen.getByText("Online").waitFor();
  await page.getByRole("article", { name: "hall" }).getByText("Target 21.0 °C").waitFor();

  // A command: what is shown is what the device reports afterwards.
  await kitchen.getByLabel("Target in °C").fill("24.5");
  await kitchen.getByRole("button", { name: "Set the target of kitchen" }).click();
  await kitchen.getByText("Target 24.5 °C").waitFor();
  await kitchen.getByLabel("Target in °C").fill("60");
  await page.keyboard.press("Enter");
  assert.equal(await kitchen.locator("input:invalid").count(), 1);
  await kitchen.getByLabel("Target in °C").fill("24.5");
  await kitchen.getByRole("img", { name: /the last [2-9]\d readings/ }).waitFor();

  assert.ok((await fetch(STOP_URL, { method: "POST" })).ok);
  await kitchen.getByText("Offline").waitFor();
  await page.keyboard.press("Enter");
  await kitchen.getByRole("alert").getByText("Not sent: not connected.").waitFor();
  await inspect("list");
});

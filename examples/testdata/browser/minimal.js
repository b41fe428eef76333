import assert from "node:assert/strict";
import { visit } from "./visit.js";

await visit("minimal", async (page, inspect) => {
  await page.getByLabel("Message").fill("<img src=x onerror=alert(1)>");
  await page.keyboard.press("Enter");
  await page.getByRole("log").getByText("<img src=x onerror=alert(1)>").waitFor();
  assert.equal(await page.locator("main img").count(), 0, "a text became HTML");
  await page.getByLabel("Message").fill("Hello from the page, and back through the event handler.");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("log").getByText("Hello from the page").waitFor();
  await inspect("echo");
});

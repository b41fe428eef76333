import assert from "node:assert/strict";
import { visit } from "./visit.js";

const { GO_ON_URL } = process.env; // the model pauses in each answer until a request to it
const END = "keeps what had been written by then.";

await visit("aistream", async (page, inspect) => {
  const card = page.getByRole("article").first();
  const text = card.locator(".text");
  const ask = async (question) => {
    await page.getByLabel("Question").fill(question);
    await page.keyboard.press("Enter");
    await card.getByRole("heading", { name: question }).waitFor();
  };

  // An answer is stopped, and stays as it is.
  await ask("Is <b>this</b> HTML?");
  await card.getByText("You asked: “Is <b>this</b> HTML?”").waitFor();
  assert.equal(await card.locator("b").count(), 0, "a question became HTML");
  assert.equal(await text.getAttribute("aria-busy"), "true");
  await inspect("writing");
  await page.getByRole("button", { name: "Stop" }).click();
  await card.getByText("Stopped").waitFor();
  const stopped = await text.textContent();
  assert.ok(stopped.length > 20 && !stopped.includes(END), stopped);

  // Another one goes on during a reload.
  await ask("What does a reload do?");
  await card.getByText("The number of its words is 5").waitFor();
  await page.reload();
  await card.getByText("The number of its words is 5").waitFor();
  await card.getByText("Writing").waitFor();
  assert.ok((await fetch(GO_ON_URL, { method: "POST" })).ok);
  await card.getByText(END).waitFor();
  await card.getByText("Complete").waitFor();
  const complete = await text.textContent();
  assert.equal(complete.indexOf("You asked"), 0);
  assert.equal(complete.match(/Try three things/g).length, 1, "a piece came twice");
  assert.equal(await text.getAttribute("aria-busy"), "false");

  // The next page has it as well, word by word the same.
  await page.reload();
  await card.getByText("Complete").waitFor();
  assert.equal(await text.textContent(), complete);
  await inspect("complete");
});

// A developer looks at the emulator's dashboard: who is connected, a message to
// a group, a connection that is cut and one that is closed.
//
// DASHBOARD_URL is the page with its token, CHROMIUM the browser, SCREENSHOTS
// the folder for pictures. Alice and bob are connected, to group lobby.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { DASHBOARD_URL, CHROMIUM, SCREENSHOTS } = process.env;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 640 } });
  page.setDefaultTimeout(15_000);
  const problems = [];
  page.on("pageerror", (e) => problems.push(String(e)));
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  const row = (user) => page.locator("#connections tr", { hasText: user });
  const journal = (text) => page.locator("#journal").getByText(text).last();

  await page.goto(DASHBOARD_URL);
  await row("alice").getByText("lobby").waitFor();
  await row("bob").waitFor();
  assert.ok(!page.url().includes("token"), "the token stays in the address");
  await page.reload();
  await row("alice").waitFor();

  await page.getByLabel("Group").fill("lobby");
  await page.getByLabel("Text").fill("<b>hello</b>");
  await page.getByRole("button", { name: "Send" }).click();
  await journal(/sent lobby in chat, 12 bytes to 2/).waitFor();

  await page.getByRole("button", { name: "reset alice" }).click();
  await row("alice").getByText("lost, may come back").waitFor();
  await page.getByRole("button", { name: "close bob" }).click();
  await row("bob").waitFor({ state: "detached" });
  await journal(/disconnected bob/).waitFor();

  await page.getByLabel("Filter").fill("interrupted");
  await journal(/interrupted alice/).waitFor();
  assert.equal(await journal(/disconnected bob/).isVisible(), false, "the filter shows what it should hide");
  await page.getByLabel("Filter").fill("");
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, "dashboard.png") });

  const stranger = await browser.newPage();
  await stranger.goto(page.url());
  await stranger.getByText("The token is missing").waitFor();
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
}

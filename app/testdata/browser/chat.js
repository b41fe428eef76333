// Two people chat: alice on a desktop, bob on a phone. Their connections are
// cut and come back, and nothing that was said meanwhile is lost.
//
// PAGE_URL is the chat page, LAN_PAGE_URL the same as seen from another machine,
// a request to CUT_URL cuts the connections, one to ANNOUNCE_URL sends text as the
// server does, CHROMIUM is the browser, SCREENSHOTS the folder for pictures.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { PAGE_URL, LAN_PAGE_URL, CUT_URL, ANNOUNCE_URL, CHROMIUM, SCREENSHOTS } = process.env;

const profile = await mkdtemp(join(tmpdir(), "chat-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: CHROMIUM,
  args: [`--host-resolver-rules=MAP ${new URL(LAN_PAGE_URL).hostname} 127.0.0.1`, "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const problems = [];

/** Opens a page of its own session and joins the chat there. */
async function person(name, viewport, url = PAGE_URL) {
  const context = await browser.browser()?.newContext({ viewport, deviceScaleFactor: 2 }) ?? browser;
  const page = await context.newPage();
  await page.setViewportSize(viewport);
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (e) => problems.push(`${name}: ${e}`));
  page.on("console", (m) => {
    // The browser itself reports each failed attempt to reconnect.
    if (m.type() === "error" && !/WebSocket connection|ERR_/.test(m.text())) problems.push(`${name}: ${m.text()}`);
  });
  await page.goto(url);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Room", { exact: true }).fill("general");
  await page.keyboard.press("Enter"); // the whole chat works from the keyboard
  await connected(page);
  return page;
}

const connected = (page) => page.locator('#status[data-state="connected"]').waitFor();
const see = (page, text) => page.locator("#logs").getByText(text).last().waitFor();

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await see(page, text);
}

try {
  const alice = await person("alice", { width: 1120, height: 700 });
  const bob = await person("Bób", { width: 390, height: 780 }, LAN_PAGE_URL);
  assert.equal(await bob.evaluate(() => isSecureContext), false, "the page of another machine is in a secure context");

  await see(alice, /Bób joined/);
  await say(alice, "Hello Bób, the whole way round!");
  await see(bob, "Hello Bób, the whole way round!");
  await say(bob, "Over REST and back through the socket. <img src=x onerror=alert(1)>");
  await see(alice, "<img src=x onerror=alert(1)>");
  assert.equal(await alice.locator("#logs img[src=x]").count(), 0, "a message became HTML");
  assert.equal(await alice.locator("#logs").getByText("Hello Bób, the whole way round!").count(), 1, "the sender sees its message once");

  // Text from the server, such as that of webpubsub send, is shown.
  assert.ok((await fetch(ANNOUNCE_URL, { method: "POST" })).ok);
  await see(alice, "Server: Maintenance at noon <b>");
  await see(bob, "Server: Maintenance at noon <b>");

  await bob.getByLabel("Message", { exact: true }).pressSequentially("thin");
  await alice.getByText(/Bób is typing/).waitFor();

  // Both lose their connections; the network just forgets them.
  await alice.evaluate(() => {
    const status = document.getElementById("status");
    window.states = [];
    new MutationObserver(() => window.states.push(status.dataset.state)).observe(status, { attributes: true });
  });
  assert.ok((await fetch(CUT_URL, { method: "POST" })).ok);
  await alice.waitForFunction(() => window.states.at(-1) === "connected");
  const seen = await alice.evaluate(() => window.states);
  assert.ok(seen.includes("recovering"), `the page showed ${seen} and no recovery`);
  await connected(bob);
  await bob.getByLabel("Message", { exact: true }).fill("");
  await say(bob, "Back again, and nothing was lost.");
  await see(alice, "Back again, and nothing was lost.");
  await say(alice, "Same connection, too.");
  await see(bob, "Same connection, too.");
  assert.equal(await alice.locator("#logs").getByText(/Bób (left|joined)/).count(), 1, "a recovery looks like leaving and joining");

  if (SCREENSHOTS) {
    await alice.screenshot({ path: join(SCREENSHOTS, "chat.png") });
  }

  await bob.close();
  await see(alice, /Bób left/);
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

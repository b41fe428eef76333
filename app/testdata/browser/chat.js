// Two people chat: alice on a desktop, Bób on a phone. They are in several rooms,
// reload their pages, and their connections are cut and come back; nothing that was
// said meanwhile is lost.
//
// PAGE_URL is the chat page, LAN_PAGE_URL the same as seen from another machine,
// a request to CUT_URL cuts the connections, one to ANNOUNCE_URL sends text as the
// server does, CHROMIUM is the browser, SCREENSHOTS the folder for pictures.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { PAGE_URL, LAN_PAGE_URL, CUT_URL, ANNOUNCE_URL, CHROMIUM, SCREENSHOTS } = process.env;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [`--host-resolver-rules=MAP ${new URL(LAN_PAGE_URL).hostname} 127.0.0.1`, "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const problems = [];

/** Opens a page with a memory of its own and joins the chat there. */
async function person(name, viewport, { url = PAGE_URL, room = "general", ...options } = {}) {
  const context = await browser.newContext({ viewport, deviceScaleFactor: 2, ...options });
  const page = await context.newPage();
  await page.clock.install(); // so that a test need not wait for what the page waits for
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (e) => problems.push(`${name}: ${e}`));
  page.on("console", (m) => {
    // The browser itself reports each failed attempt to reconnect.
    if (m.type() === "error" && !/WebSocket connection|ERR_/.test(m.text())) problems.push(`${name}: ${m.text()}`);
  });
  await page.goto(url);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Room", { exact: true }).fill(room);
  await page.keyboard.press("Enter"); // the whole chat works from the keyboard
  await connected(page);
  return page;
}

const connected = (page) => page.locator('#status[data-state="connected"]').waitFor();
const see = (page, text) => page.locator("#logs").getByText(text).last().waitFor();
const count = (page, text) => page.locator("#logs").getByText(text).count();
const unread = (page, n) => page.locator("#rooms").getByLabel(`${n} unread`);
const texts = (page) => page.locator("#logs .bubble").allTextContents();
const entry = (page, room) => page.locator("#rooms .entry").filter({ hasText: `#${room}` });

async function say(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await see(page, text);
  await page.locator('.message.own[data-state="sent"]').filter({ hasText: text }).waitFor();
}

async function picture(page, name) {
  if (!SCREENSHOTS) return;
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

try {
  const alice = await person("alice", { width: 1120, height: 700 });
  const bob = await person("Bób", { width: 375, height: 740 }, { url: LAN_PAGE_URL, hasTouch: true, isMobile: true });
  assert.equal(await bob.evaluate(() => isSecureContext), false, "the page of another machine is in a secure context");

  await see(alice, /Bób joined/);
  await say(alice, "Hello Bób, the whole way round!");
  await see(bob, "Hello Bób, the whole way round!");
  await say(bob, "Over REST and back through the socket. <img src=x onerror=alert(1)>");
  await see(alice, "<img src=x onerror=alert(1)>");
  assert.deepEqual(await texts(alice), await texts(bob), "the messages are in the same order");
  assert.equal(await alice.locator("#logs img[src=x]").count(), 0, "a message became HTML");
  assert.equal(await count(alice, "Hello Bób, the whole way round!"), 1, "the sender sees its message once");

  // URLs are links, without what belongs to the sentence around them.
  await say(alice, "See (https://example.com/a_(b)?q=1&r=<2>), or HTTP://EXAMPLE.COM. javascript:alert(1) is none.");
  await see(bob, "javascript:alert(1) is none.");
  const links = await bob.locator(".bubble a").evaluateAll((all) => all.map((a) => [a.textContent, a.getAttribute("href"), a.rel]));
  assert.deepEqual(links, [
    ["https://example.com/a_(b)?q=1&r=", "https://example.com/a_(b)?q=1&r=", "noopener noreferrer"],
    ["HTTP://EXAMPLE.COM", "HTTP://EXAMPLE.COM", "noopener noreferrer"],
  ]);

  // Text from the server, such as that of webpubsub send, is shown.
  assert.ok((await fetch(ANNOUNCE_URL, { method: "POST" })).ok);
  await see(alice, "Server: Maintenance at noon <b>");
  await see(bob, "Server: Maintenance at noon <b>");

  await bob.getByLabel("Message", { exact: true }).pressSequentially("thin");
  await alice.getByText(/Bób is typing/).waitFor();
  await bob.getByLabel("Message", { exact: true }).fill("");

  // What is said in another room is not lost in silence.
  await bob.getByRole("button", { name: "Rooms and people" }).click();
  await entry(bob, "random").click();
  await say(bob, "Is this room empty?");
  await say(bob, "It seems so.");
  await unread(alice, 2).waitFor();
  assert.match(await alice.title(), /^\(2\) #general/);
  await picture(alice, "unread");
  await entry(alice, "random").click();
  await see(alice, "It seems so.");
  await alice.locator("#logs .new").getByText("New").waitFor();
  assert.equal(await alice.getByLabel(/unread/).count(), 0, "a room that is read is unread");
  assert.match(await alice.title(), /^#random/);
  await say(alice, "Not any more.");
  await see(bob, "Not any more.");

  // Own rooms survive a reload, with what was said in them; nobody is told that
  // alice left and joined.
  await alice.getByLabel("Open another room").fill("My Room");
  await alice.keyboard.press("Enter");
  await alice.getByRole("heading", { name: "my-room" }).waitFor();
  await say(alice, "All mine.");
  await entry(alice, "random").click();
  await alice.getByLabel("Leave #help").click();
  await alice.reload();
  await connected(alice);
  await see(alice, "Not any more.");
  await see(alice, "Is this room empty?");
  assert.deepEqual(await alice.locator("#rooms .entry bdi").allTextContents(), ["general", "random", "my-room"]);
  await entry(alice, "my-room").click();
  await see(alice, "All mine.");
  await entry(alice, "random").click();
  await say(alice, "I am back.");
  await see(bob, "I am back.");
  await bob.clock.fastForward(10_000);
  assert.equal(await count(bob, /alice (left|joined)/), 0, "a reload looks like leaving and joining");

  // What was said during a reload is unread afterwards.
  await alice.goto("about:blank");
  await say(bob, "Are you still there?");
  await bob.getByRole("button", { name: "Rooms and people" }).click();
  await entry(bob, "general").click();
  await say(bob, "Or here?");
  await alice.goto(`${PAGE_URL}?name=alice&room=random`);
  await see(alice, "Are you still there?");
  await unread(alice, 1).waitFor();
  await entry(alice, "general").click();
  await see(alice, "Or here?");

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
  await say(bob, "Back again, and nothing was lost.");
  await see(alice, "Back again, and nothing was lost.");
  await say(alice, "Same connection, too.");
  await see(bob, "Same connection, too.");
  assert.deepEqual((await texts(alice)).slice(-3), ["Or here?", "Back again, and nothing was lost.", "Same connection, too."]);
  assert.deepEqual((await texts(bob)).slice(-3), (await texts(alice)).slice(-3), "the messages are in the same order");

  // Who comes later sees what was said before.
  const carol = await person("carol", { width: 1120, height: 700 }, { colorScheme: "dark" });
  await see(carol, "Hello Bób, the whole way round!");
  await see(carol, "Same connection, too.");
  assert.equal(await carol.getByLabel(/unread/).count(), 0, "old messages are unread to somebody new");
  await picture(carol, "dark");
  await picture(bob, "phone");
  await bob.getByRole("button", { name: "Rooms and people" }).click();
  await picture(bob, "phone-rooms");
  await bob.keyboard.press("Escape");

  if (SCREENSHOTS) {
    // The picture of the README.
    for (const page of [alice, bob]) {
      if (page === bob) await bob.getByRole("button", { name: "Rooms and people" }).click();
      await page.getByLabel("Open another room").fill("launch");
      await page.getByLabel("Open another room").press("Enter");
      await page.getByRole("heading", { name: "launch" }).waitFor();
    }
    await say(alice, "Morning! The new build is on staging.");
    await say(bob, "Nice. I read the notes: https://example.com/notes");
    await say(bob, "My train went into the tunnel, and every message was there when it came out.");
    await say(alice, "That is the reliable subprotocol. Shall we ship it?");
    await say(carol, "Ship it!");
    await unread(alice, 1).waitFor();
    await picture(alice, "chat");
    await entry(alice, "general").click();
    await bob.getByRole("button", { name: "Rooms and people" }).click();
    await entry(bob, "general").click();
  }

  await carol.close();
  await alice.clock.fastForward(10_000);
  await see(alice, /carol left/);
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
}

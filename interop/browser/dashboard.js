// A developer uses the emulator's dashboard in a real browser, from an empty
// emulator to one with a thousand connections under load, and through a restart.
//
// DASHBOARD_URL is the page with its token, CHROMIUM the browser, SCREENSHOTS the
// folder for pictures. The script asks the test that started it for what has to
// happen at the emulator by lines on standard output, and goes on when the answer
// comes on standard input.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { DASHBOARD_URL, CHROMIUM, SCREENSHOTS } = process.env;
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const sections = ["overview", "connections", "traffic", "clients", "rest", "faults"];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(what) {
  console.log(what);
  const { value } = await answers.next();
  assert.equal(value, `done ${what}`);
}

let shown; // the page, for what a failure is to report
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  // Without transitions: halfway through one, a colour has too little contrast.
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
  page.setDefaultTimeout(20_000);
  const pending = new Set();
  page.on("request", (r) => pending.add(r));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (r) => pending.delete(r));
  const problems = [];
  page.on("pageerror", (e) => problems.push(String(e)));
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  shown = async () => [await page.locator("body").innerText(), ...problems, ...[...pending].map((r) => `pending: ${r.method()} ${r.url()}`)].join("\n");
  // The section is there with the event after the click; until then a label is that
  // of the section before.
  const go = async (section) => {
    await page.locator(`#to-${section}`).click();
    await page.locator(`#to-${section}[aria-current="page"]`).waitFor();
  };
  const picture = (name) => SCREENSHOTS && page.screenshot({ path: join(SCREENSHOTS, name) });

  // Every section is accessible, and fits a phone.
  async function inspect(label) {
    for (const section of sections) {
      await go(section);
      await page.locator("#view h2").first().waitFor();
      const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations.map((v) => `${v.id}: ${v.nodes[0].html}`));
      assert.deepEqual(found, [], `${section}, ${label}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${section}, ${label}: ${wide} px too wide`);
    }
  }
  await page.addInitScript({ path: axe });

  await page.goto(DASHBOARD_URL);
  await page.getByText("live, version").waitFor();
  assert.ok(!page.url().includes("token"), "the token stays in the address");
  await page.reload();
  await page.getByText("live, version").waitFor();
  assert.equal(await page.getByLabel("Hub", { exact: true }).inputValue(), "chat", "no hub is chosen while none is in use");
  await inspect("empty");
  await page.setViewportSize({ width: 375, height: 740 });
  await inspect("empty, on a phone");
  await page.setViewportSize({ width: 1280, height: 800 });

  // A thousand connections: the list is a page at a time and stays quick.
  await ask("fill");
  await go("overview");
  await page.locator(".numbers div", { hasText: "connections" }).getByText(/^100\d$/).waitFor();
  await go("connections");
  await page.getByText("100 shown of").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("page 2").waitFor();
  await page.getByLabel("Search").fill("user-777");
  await page.getByRole("button", { name: "user-777" }).click();
  const detail = page.locator(".split > .panel").last();
  await detail.getByRole("heading", { name: "user-777" }).waitFor();
  await detail.getByLabel("Group", { exact: true }).fill("extra");
  await detail.getByRole("button", { name: "Join" }).click();
  await detail.getByText("extra").first().waitFor();
  await page.getByLabel("Search").fill("<img");
  await page.locator("tbody button").getByText("<img src=x onerror=alert(1)>").waitFor();
  await inspect("with connections");

  // A test client of the page.
  await go("clients");
  await page.getByLabel("User").fill("carol");
  await page.getByLabel("Protocol").selectOption({ label: "reliable JSON" });
  await page.getByRole("button", { name: "Connect" }).click();
  const carol = page.locator("section.panel", { hasText: "carol in chat" });
  await carol.getByText("open", { exact: true }).first().waitFor();
  await carol.getByRole("button", { name: "Join" }).click();
  await carol.getByText('"success": true').first().waitFor();
  await carol.getByRole("button", { name: "Send to the group" }).click();
  await carol.getByText('"fromUserId": "carol"').waitFor();
  await carol.getByRole("button", { name: "Send event" }).click();
  await carol.getByText("pong").waitFor();
  await picture("dashboard-clients.png");
  await carol.getByRole("button", { name: "Interrupt" }).click();
  await carol.getByRole("button", { name: "Recover" }).click();
  await carol.getByText("open", { exact: true }).first().waitFor();

  await go("rest");
  await page.getByRole("button", { name: "POST request" }).click();
  await page.getByText("202").first().waitFor();
  await page.getByText("curl -i -X POST").waitFor();
  await page.getByLabel("Operation").selectOption({ label: "Does a group exist?" });
  await page.getByRole("button", { name: "HEAD request" }).click();
  await page.locator(".panel", { hasText: "History" }).getByText("Does a group exist?").waitFor();

  // An event with what it caused, its request and response, and its replay.
  await go("traffic");
  await page.getByLabel("Kind").selectOption("event");
  await page.getByLabel("Search").fill("message");
  await page.locator(".entry").first().click();
  await page.getByRole("heading", { name: "Request to the event handler" }).waitFor();
  await page.getByRole("button", { name: "Continue" }).waitFor(); // it stands still while one reads
  await picture("dashboard.png");
  await page.getByRole("button", { name: "Replay to the event handler" }).click();
  await page.getByText("The event handler responded with 200.").waitFor();
  const text = await page.locator("#view").innerText();
  assert.ok(!text.includes("sha256="), "a signature is shown");
  await page.getByRole("button", { name: /Continue/ }).click();

  await go("faults");
  await page.getByLabel("Milliseconds").waitFor({ state: "hidden" });
  await page.getByLabel("What happens").selectOption("delay");
  await page.getByLabel("Milliseconds").fill("1");
  await page.getByRole("button", { name: "Inject" }).click();
  await page.getByRole("cell", { name: "delay 1 ms" }).waitFor();
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByText("No fault is in force").waitFor();
  await page.getByLabel("Jitter, ms").fill("1");
  await page.getByLabel("Bytes per second, 0 for no limit").fill("1000000");
  await page.getByRole("button", { name: "Change", exact: true }).click();
  await page.getByText("Changed.").waitFor();
  await ask("network");
  await page.getByText("No tunnel of the hub is open").waitFor();
  await go("overview");
  await page.getByText("no tunnel is open").waitFor();
  await ask("tunnel");
  await page.getByText("tunnels open: 1").waitFor();
  await go("faults");
  await page.getByLabel("Target of the new connection").fill("<b>");
  await page.getByRole("button", { name: "Reconnect", exact: true }).click();
  await page.getByRole("option", { name: "(target <b>)" }).waitFor({ state: "attached" });
  await page.getByLabel(/^Tunnel/).selectOption({ index: 1 });
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await page.getByText("No tunnel of the hub is open").waitFor();

  // Under load the page answers.
  await go("traffic");
  await page.getByLabel("Search").fill("");
  await page.getByLabel("Kind").selectOption("");
  await ask("load");
  await page.locator(".entry").nth(20).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: /Continue/ }).waitFor();
  await go("overview");
  await page.getByText("At a glance").waitFor();
  await page.getByRole("button", { name: "Change the color theme" }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await inspect("dark");
  await picture("dashboard-dark.png");

  // By keyboard alone.
  await page.locator("#to-overview").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByLabel("Protocol").waitFor();

  await ask("restart");
  await page.getByText("The emulator was restarted").waitFor();
  await page.getByText("live, version").waitFor();
  await go("connections");
  await page.getByText("No connection of this hub matches.").waitFor();

  const other = await (await browser.newContext()).newPage();
  await other.goto(DASHBOARD_URL.split("#")[0]);
  await other.getByText("The token is not that of this start").first().waitFor();
  // A restart breaks off what was under way, or answers 503 while the emulator
  // closes, and a browser reports that.
  assert.deepEqual(problems.filter((p) => !/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY_RESPONSE|network error|WebSocket connection|ERR_NETWORK|Failed to fetch|status of 503/.test(p)), []);
} catch (e) {
  console.error(`The page when it failed:\n${await shown?.()}`);
  throw e;
} finally {
  await browser.close();
  process.stdin.destroy(); // which would keep the process from ending
}

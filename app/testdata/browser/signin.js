// A user signs in by the platform and signs out; the session of another page
// expires. SITE_URL is the app behind the platform, CHROMIUM the browser,
// SCREENSHOTS the folder for pictures.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { SITE_URL, CHROMIUM, SCREENSHOTS } = process.env;
const profile = await mkdtemp(join(tmpdir(), "chat-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: CHROMIUM,
  viewport: { width: 1120, height: 700 },
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const connected = (page) => page.locator('#status[data-state="connected"]').waitFor();

try {
  const page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  const problems = [];
  page.on("pageerror", (e) => problems.push(String(e)));

  // The address of the site leads through the sign-in to the chat.
  await page.goto(`${SITE_URL}/api/index`);
  await connected(page);
  assert.equal(await page.locator("#me-name").textContent(), "Jürgen");
  assert.equal(await page.locator("#leave").textContent(), "Sign out");
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, "signed-in.png") });

  // A session that has expired asks to sign in, in place of trying for ever.
  await page.request.get(`${SITE_URL}/expire`);
  await page.goto(`${SITE_URL}/api/index?room=help`);
  const signIn = page.getByRole("link", { name: "Sign in" });
  await signIn.waitFor();
  await page.getByText("Your sign-in has expired.").waitFor();
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, "expired.png") });
  await signIn.click();
  await connected(page);
  assert.equal(await page.locator("#title").textContent(), "help", "the sign-in lost the room");

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL("**/.auth/logout?**");
  assert.equal(await page.locator("body").textContent(), "/api/index");
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}

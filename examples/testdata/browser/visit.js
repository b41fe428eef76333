// Opens the page of an example in Chromium. PAGE_URL is the page, CHROMIUM the
// browser, SCREENSHOTS a folder for pictures.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { PAGE_URL, CHROMIUM, SCREENSHOTS } = process.env;
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/**
 * visit calls scenario with the page and a function inspect, which checks that what is
 * on screen is accessible and fits, on a desktop and a phone, light and dark. expected is
 * a pattern of errors in the console that do not fail the test.
 */
export async function visit(example, scenario, expected = /^$/) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    // Without transitions: halfway through one, a colour has too little contrast.
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
    page.setDefaultTimeout(20_000);
    const problems = [];
    page.on("pageerror", (e) => problems.push(String(e)));
    page.on("console", (m) => m.type() === "error" && !expected.test(m.text()) && problems.push(m.text()));
    await page.addInitScript({ path: axe });
    await page.goto(PAGE_URL);
    await page.getByRole("status").first().getByText("Connected").waitFor();
    await scenario(page, (label) => inspect(page, `${example}-${label}`));
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
  }
}

async function inspect(page, label) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 375]) {
      await page.setViewportSize({ width, height: 740 });
      const name = `${label}-${colorScheme}-${width}`;
      const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations.map((v) => `${v.id}: ${v.nodes[0].html}`));
      assert.deepEqual(found, [], name);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name}: ${wide} px too wide`);
      if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 800 });
}

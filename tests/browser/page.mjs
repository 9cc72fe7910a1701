// What the story and the screenshots share. Takes a demonstration's URL; gives a browser page on it with
// the gestures of people and the claims about what they see.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const LIMIT = Number(process.env.LIMIT_MS ?? 20_000);
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-lcd-text",
];

export class Failed extends Error {}

export function claim(name, holds, seen = "") {
  if (!holds) throw new Failed(`FAIL  ${name}${seen ? `\n      seen: ${seen}` : ""}`);
  console.log(`ok    ${name}`);
}

export async function open(url, options = {}) {
  const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = places.find((p) => p && existsSync(p));
  if (!executablePath) throw new Failed("no chromium: install it or name it in CHROMIUM");
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(String(e)));
  page.on("console", (m) => { if (m.type() === "error") complaints.push(m.text()); });
  await page.goto(url);
  await page.locator("#people button").first().waitFor({ state: "attached" });
  return { browser, page, complaints };
}

export async function actAs(page, name) {
  const person = page.locator(`#people button[data-person="${name}"]`);
  if (!(await person.isVisible())) await page.click("#menu");
  await person.click();
  await page.waitForFunction(([n]) => document.getElementById("text").placeholder.includes(`as ${n}`), [name]);
}

export async function type(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

// The newest message of the channel that has all these texts.
export function message(page, ...texts) {
  let found = page.locator("#messages > li");
  for (const text of texts) found = found.filter({ hasText: text });
  return found.last();
}

export async function see(page, name, ...texts) {
  const found = message(page, ...texts);
  try {
    await found.waitFor();
  } catch {
    const shown = await page.locator("#messages").innerText().catch(() => "");
    const said = await page.locator("#notice").innerText().catch(() => "");
    throw new Failed(`FAIL  ${name}: no message with ${JSON.stringify(texts)}\n${said}\n${shown.slice(-1500)}`);
  }
  console.log(`ok    ${name}`);
  return found;
}

export const ask = async (url, path, data) => {
  const answer = await fetch(new URL(path, url), data && {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data),
  });
  if (!answer.ok) throw new Failed(`FAIL  ${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
};

export async function breakOn(page, url, what) {
  if (page) await page.locator(`[data-break="${what}"] button`).click();
  else await ask(url, "/demo/break", { what, on: true });
  await until(`${what} is on`, async () =>
    (await ask(url, "/demo/state")).breaks?.some((b) => b.id === what && b.on));
}

export async function until(name, holds) {
  const end = Date.now() + LIMIT;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end) throw new Failed(`FAIL  ${name}: not within ${LIMIT / 1000} s`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

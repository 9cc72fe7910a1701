// Pictures of the page while the story is played on it. Takes the URL of a running demonstration and the
// folder for the pictures.

import { join } from "node:path";
import { story } from "./story.mjs";

const [url, folder] = process.argv.slice(2);
const file = (name) => join(folder, `${name}.png`);
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

// The start of the card to the top of the list, so that the picture shows what matters.
const top = (card) => card.evaluate((c) => { c.parentElement.scrollTop = c.offsetTop - c.parentElement.offsetTop - 8; });

// A card is higher than the window.
async function whole(page, card, name) {
  await page.setViewportSize({ width: 1280, height: 1700 });
  await page.mouse.move(0, 0);
  await card.screenshot({ path: file(name) });
  await page.setViewportSize(DESKTOP);
}

async function shoot(name, page, element) {
  if (name === "deny-modal") {
    await page.screenshot({ path: file(name) });
  } else if (name === "card-approval") {
    await whole(page, element, name);
    await page.setViewportSize(PHONE);
    await page.locator("#side-close").click();
    await top(element);
    await page.screenshot({ path: file("phone-light") });
    await page.setViewportSize(DESKTOP);
    await page.locator("#open-panel").click();
    await page.locator("[data-break]").first().waitFor();
    await page.screenshot({ path: file("desktop-light") });
  } else if (name === "card-alert" || name === "card-plan") {
    await whole(page, element, name);
  } else if (name === "card-recovered") {
    await whole(page, element, name);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: file("desktop-dark") });
    await page.emulateMedia({ colorScheme: "light" });
  }
}

await story(url, { colorScheme: "light" }, shoot);

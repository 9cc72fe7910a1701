// The whole story on the page, from trouble to recovery. Takes the URL of a running demonstration; exits
// with 0 if everything was seen, with 1 if not. With --stub it starts the practice chat in front of
// something that answers 200 to everything, and must not find the story there.

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { actAs, ask, breakOn, claim, Failed, message, open, see, sleep, type, until } from "./page.mjs";

export async function story(url, options = {}, shoot = async () => {}) {
  const { browser, page, complaints } = await open(url, options);
  try {
    await play(page, url, shoot);
    // A refusal that the browser mentions by itself is no fault of the page; there is none in the story.
    claim("the browser had nothing to object to", complaints.length === 0, complaints.join("\n"));
  } finally {
    await browser.close();
  }
}

async function play(page, url, shoot) {
  await actAs(page, "Alice");
  if (options(url).broken !== false) {
    await breakOn(page, url, "long-queries");
    await breakOn(null, url, "lock-jam");
    await sleep(3500);
  }
  await type(page, "/dr status");
  await see(page, "the status is red", "RED", "statements running longer than");
  await type(page, "/dr plan database-performance");
  const plan = await see(page, "the plan counts what would be touched", "Plan: ", "would touch", "Every target answered");
  claim("the plan ran nothing", (await changes(url)).length === 0);
  await shoot("card-plan", page, plan);
  await type(page, "/dr declare database-performance");
  await see(page, "an incident is open", "INC-1", "no runbook was started");
  await type(page, "/dr run database-performance");
  const card = await see(page, "the card asks for approval with the exact statement", "INC-1", "pg_cancel_backend", "Approve");
  const ts = await card.getAttribute("data-ts");
  const same = page.locator(`#messages > li[data-ts="${ts}"]`);
  await shoot("card-approval", page, same);

  await same.getByRole("button", { name: "Approve" }).click();
  const refusal = await see(page, "her own click is refused, with the reason", "You asked for this step yourself");
  claim("only she is told", (await refusal.innerText()).includes("Only visible to you"));
  claim("the refused click ran nothing", (await changes(url)).length === 0);

  await actAs(page, "Bob");
  claim("Bob does not see what Alice alone was told", (await message(page, "You asked for this step yourself").count()) === 0);
  await denied(page, same, shoot);
  claim("nothing ran so far", (await changes(url)).length === 0);

  await same.getByRole("button", { name: "Approve" }).click();
  await until("the card asks for the next step, or is done", async () => {
    const text = await same.innerText();
    return text.includes("pg_terminate_backend") || text.includes("Recovered after");
  });
  claim("the same message was edited", (await same.innerText()).includes("(edited)"));
  claim("the statements were cancelled once", count(await changes(url), "pg_cancel_backend") === 1);
  await shoot("card-next", page, same);
  if ((await same.innerText()).includes("pg_terminate_backend")) {
    await same.getByRole("button", { name: "Approve" }).click();
  }
  await recovered(page, url, same);
  await shoot("card-recovered", page, same);
  await alerted(page, shoot);
}

async function alerted(page, shoot) {
  await page.locator("#channels button", { hasText: "alerts" }).click();
  const card = await see(page, "an alert arrived by itself, already diagnosed", "PostgresSlow", "confirmed", "Database performance degradation");
  await until("the same card says that it is over", async () => (await card.innerText()).includes("resolved"));
  claim("one card for the alert", (await page.locator("#messages > li h3", { hasText: "PostgresSlow" }).count()) === 1);
  await shoot("card-alert", page, card);
}

async function denied(page, card, shoot) {
  await card.getByRole("button", { name: "Deny" }).click();
  const modal = page.locator("#modal[open]");
  await modal.waitFor();
  await modal.locator("button[type=submit]").click();
  const error = modal.locator(".field-error:not([hidden])");
  await error.waitFor();
  claim("an empty reason is refused in the form", (await error.innerText()).length > 0);
  await shoot("deny-modal", page, modal);
  await modal.getByRole("button", { name: "Cancel" }).click();
  await modal.waitFor({ state: "detached", timeout: 5000 }).catch(() => {});
  claim("the form is closed", !(await page.locator("#modal").evaluate((m) => m.open)));
}

async function recovered(page, url, card) {
  await until("the card says that it recovered", async () => (await card.innerText()).includes("Recovered after"));
  console.log("ok    the same card says that it recovered");
  claim("no buttons are left on it", (await card.locator("button.act").count()) === 0);
  const ran = await changes(url);
  claim("each change ran exactly once, by the database's log",
    count(ran, "pg_cancel_backend") === 1 && count(ran, "pg_terminate_backend") === 1, JSON.stringify(ran));
  const broken = (await ask(url, "/demo/state")).breaks.filter((b) => b.on).map((b) => b.id);
  claim("the database has no trouble left", broken.length === 0, broken.join(", "));
  await card.locator("button.thread").click();
  const thread = page.locator("#side-body.in-thread > li");
  await thread.nth(1).waitFor();
  const width = await thread.nth(1).evaluate((m) => m.getBoundingClientRect().width / m.parentElement.clientWidth);
  claim("the thread is as wide as its panel", width > 0.95, `${width} of it`);
  const history = await page.locator("#side-body").innerText();
  claim("the history stands in the card's thread", /Alice/.test(history) && /Bob/.test(history), history.slice(0, 600));
  claim("the channel holds one card of the incident", (await page.locator("#messages > li h3", { hasText: "INC-1" }).count()) === 1);
}

const changes = async (url) =>
  (options(url).ran === false ? [] : (await ask(url, "/demo/ran")).filter((r) => /pg_(cancel|terminate)_backend/.test(r.sql)));
const count = (ran, name) => ran.filter((r) => r.sql.includes(name)).length;

// What a stubbed demonstration lacks, by URL.
const lacks = new Map();
const options = (url) => lacks.get(url) ?? {};

async function stub(program) {
  const server = createServer((request, response) => { request.resume(); response.end(); });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const chat = spawn(program, ["practice", "--listen", "127.0.0.1:0", "--bot", `http://127.0.0.1:${server.address().port}`]);
  let said = "";
  chat.stdout.on("data", (d) => { said += d; });
  chat.stderr.on("data", (d) => { said += d; });
  try {
    await until("the practice chat is up", () => /Open\s+http/.test(said));
    const url = /Open\s+(http:\/\/\S+\/)/.exec(said)[1];
    lacks.set(url, { broken: false, ran: false });
    await story(url).then(
      () => { throw new Error("the story was found where nobody answers"); },
      (e) => {
        if (!(e instanceof Failed) || !e.message.includes("the status is red")) throw e;
        console.log(`${e.message.split("\n")[0]}\nok    the stub is noticed`);
      });
  } finally {
    chat.kill();
    server.close();
  }
}

if (process.argv[1] === import.meta.filename) {
  const [what, program] = process.argv.slice(2);
  try {
    if (what === "--stub") await stub(program);
    else await story(what);
  } catch (e) {
    console.error(e instanceof Failed ? e.message : e);
    process.exit(1);
  }
}

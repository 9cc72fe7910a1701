// The side panel: a thread, the faults of the practice Slack, or what can be broken in the demonstration.

import { app, current, draw, markRead, message, notice, patch, replies, send, typed } from "/app.js";
import { el } from "/blocks.js";

const $ = (id) => document.getElementById(id);
export const side = { kind: null, thread: null };
let panel = null;

const TITLES = { thread: "Thread", faults: "Faults of the practice Slack", panel: "Break things" };
const BREAKS = {
  "long-queries": ["Long queries", "Two statements of the application that would take ten minutes"],
  "lock-jam": ["Lock jam", "A session idle in its transaction holds a lock; three wait for it"],
  "pool-full": ["Connection pool exhausted", "Idle application sessions take nearly every connection"],
  "database-down": ["Database stopped", "PostgreSQL is shut down"],
  orphans: ["Orphaned rows", "Payments whose booking does not exist, written past the constraints"],
  "failed-webhooks": ["Failed webhooks", "Payment events that were received and not processed"],
};

export function openSide(kind, thread = null) {
  side.kind = kind;
  side.thread = thread;
  $("side").hidden = kind === null;
  document.body.classList.toggle("has-side", kind !== null);
  $("side-body").replaceChildren();
  $("side-body").className = kind ? `in-${kind}` : "";
  if (app.state) draw();
  if (kind !== null) $("side-body").scrollTop = kind === "thread" ? $("side-body").scrollHeight : 0;
}

export function refreshSide() {
  for (const kind of ["faults", "panel"]) $(`open-${kind}`).setAttribute("aria-pressed", String(side.kind === kind));
  if (side.kind === null) return;
  $("side-title").textContent = TITLES[side.kind];
  if (side.kind === "thread") thread();
  else if (side.kind === "faults") faults();
  else breaks();
}

function thread() {
  const channel = current();
  const root = channel.messages.find((m) => m.ts === side.thread);
  if (!root) { openSide(null); return; }
  const all = [root, ...replies(channel, root.ts)];
  const list = $("side-body");
  const bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const answer = { key: "answer", content: root.ts, make: () => answerBox(root.ts) };
  patch(list, [...all.map((m) => ({
    key: m.ts, content: [m, app.errors.get(m.ts)], make: () => message(channel, m, { inThread: true }),
  })), answer]);
  if (bottom) list.scrollTop = list.scrollHeight;
  const key = `${channel.id}/${root.ts}`;
  const last = all.length > 1 ? all.at(-1).ts : null;
  if (last && !document.hidden) { markRead(key, last); }
}

function answerBox(ts) {
  const box = el("input", { id: "answer", "aria-label": "Reply", placeholder: "Reply, or @drbot …", spellcheck: "false", autocomplete: "off" });
  return el("form", { class: "answer", on: { submit: (event) => typed(event, box, ts) } }, box,
    el("button", { class: "act primary", type: "submit" }, "Send"));
}

// --- faults ---

async function fault(order) {
  const answer = await send("/page/fault", order);
  if (!answer.ok) notice(answer.says ?? "That did not work.");
}

const options = (list) => list.map(([value, text]) => el("option", { value }, text));

function toggle(text, on, change) {
  return el("label", { class: "toggle" },
    el("input", { type: "checkbox", checked: on, on: { change: (event) => change(event.target.checked) } }), el("span", {}, text));
}

function faultForm(known) {
  const method = el("select", { id: "fault-method" }, options(known.methods.map((m) => [m, m])));
  const kind = el("select", { id: "fault-kind" }, options(known.kinds.map((k) => [k.name, k.says])));
  const set = (always) => fault({ do: "set", method: method.value, kind: kind.value, always });
  return el("section", {},
    el("p", { class: "hint" }, "What drbot's calls run into. People's gestures are not affected."),
    el("label", { for: "fault-method" }, "Call"), method, el("label", { for: "fault-kind" }, "Fault"), kind,
    el("div", { class: "actions" },
      el("button", { class: "act plain", on: { click: () => set(false) } }, "Next call"),
      el("button", { class: "act plain", on: { click: () => set(true) } }, "Every call")));
}

function faults() {
  const known = app.state.faults;
  const objections = app.state.objections;
  patch($("side-body"), [
    { key: "form", content: known.methods, make: () => faultForm(known) },
    { key: "switches", content: [known.limited, known.down], make: () => el("section", {},
      toggle("Take one post a second per channel, answer 429 to the rest", known.limited, (on) => fault({ do: "limit", on })),
      toggle("Slack is down: nobody listens", known.down, (on) => fault({ do: "down", on }))) },
    { key: "set", content: known.set, make: () => el("section", {}, el("h2", {}, "Set now"),
      known.set.length ? el("ul", { class: "plain-list" }, known.set.map((f) => el("li", {},
        el("code", {}, f.method), ` ${f.says}`, el("small", {}, f.always ? " every call" : " next call")))) : el("p", { class: "hint" }, "Nothing."),
      el("button", { class: "act plain", on: { click: () => fault({ do: "heal" }) } }, "Heal everything")) },
    { key: "objections", content: objections, make: () => el("section", {}, el("h2", {}, "What Slack objected to"),
      objections.length ? el("ul", { class: "plain-list" }, objections.map((o) => el("li", {}, o))) : el("p", { class: "hint" }, "Nothing.")) },
  ]);
}

// --- the demonstration's panel ---

export function panelData(data) {
  panel = data;
  if (side.kind === "panel" && app.state) refreshSide();
}

async function breakIt(what, on, button) {
  button.disabled = true;
  button.textContent = on ? "breaking …" : "healing …";
  const answer = await send("/demo/break", { what, on });
  button.disabled = false;
  if (!answer.ok) notice(`That did not work: ${answer.why ?? answer.says}`);
  button.textContent = on ? "Break" : "Heal";
}

function breakRow(one, order) {
  const [title, what] = BREAKS[one.id] ?? [one.id, ""];
  return { key: one.id, content: [one, order], make: () => el("section", { class: `break ${one.on ? "on" : ""}`, "data-break": one.id },
    el("div", {}, el("b", {}, title), el("p", { class: "hint" }, one.on ? one.says : what)),
    el("button", {
      class: `act ${one.on ? "primary" : "danger-quiet"}`, "aria-label": `${one.on ? "Heal" : "Break"}: ${title}`,
      on: { click: (event) => breakIt(one.id, !one.on, event.currentTarget) },
    }, one.on ? (one.id === "database-down" ? "Start" : "Heal") : "Break")) };
}

const span = (seconds) => (seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`);

function seen(database, stopped) {
  if (!database.up) {
    return el("section", {}, el("h2", {}, "What the database sees"),
      el("p", { class: "failed" }, stopped ? "Nothing: it is stopped." : `It does not answer: ${database.why}`));
  }
  const f = database.figures;
  const gauge = el("meter", { min: 0, max: f.most, high: f.most * 0.8, optimum: 0, value: f.used, "aria-label": "connections used" });
  return el("section", {}, el("h2", {}, "What the database sees"),
    el("p", { class: "gauge" }, `${f.used} of ${f.most} connections`, gauge),
    el("p", { class: "figures" }, [[f.waiting, "waiting for locks"], [f.orphans, "orphaned rows"], [f.failed, "failed webhooks"]]
      .map(([n, what]) => el("span", { class: n ? "bad" : "" }, `${n} ${what}`))),
    el("table", {}, el("thead", {}, el("tr", {}, ["who", "state", "n", "oldest"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, database.sessions.map((s) => el("tr", { class: /lock|in transaction/.test(s.state) || (s.state === "active" && s.seconds > 2) ? "bad" : "" },
        el("td", {}, s.role, el("small", {}, s.application)), el("td", {}, s.state), el("td", {}, s.sessions), el("td", {}, span(s.seconds)))))));
}

function breaks() {
  if (!panel?.breaks) return;
  patch($("side-body"), [
    { key: "about", content: panel.longerThan, make: () => el("p", { class: "about" },
      `Break something, wait a few seconds, then type /dr status. Here a statement counts as long after ${panel.longerThan}; in production the runbook says ${panel.runbookSays}.`) },
    ...panel.breaks.map((one) => breakRow(one, 0)),
    { key: "seen", content: panel.database, make: () => seen(panel.database, panel.breaks.some((b) => b.on && b.id === "database-down")) },
  ]);
}

export function sideInit() {
  $("side-close").addEventListener("click", () => openSide(side.kind === "thread" && app.state?.panel && innerWidth > 1000 ? "panel" : null));
  for (const kind of ["faults", "panel"]) {
    $(`open-${kind}`).addEventListener("click", () => openSide(side.kind === kind ? null : kind));
  }
}

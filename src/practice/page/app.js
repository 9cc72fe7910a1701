// The page: takes the workspace as one person sees it, again after every change; shows it and sends what
// that person does. It keeps nothing but who one acts as and what was read.

import { block, body, el, words } from "/blocks.js";
import { openSide, refreshSide, side, sideInit, panelData } from "/side.js";

const $ = (id) => document.getElementById(id);
const store = {
  get: (key, otherwise) => { try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; } },
  set: (key, value) => { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* without it marks are forgotten */ } },
};

export const app = { state: null, me: store.get("me", "U01ALICE"), channel: null, errors: new Map() };
const read = store.get("read", {});

export async function send(path, data) {
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data),
    });
    if (!answer.ok) return { ok: false, says: (await answer.text()) || `HTTP ${answer.status}` };
    return await answer.json();
  } catch {
    return { ok: false, says: "The practice chat itself does not answer. Is it still running?" };
  }
}

const told = (answer) => [answer.says, answer.why].filter(Boolean).join(" — ");

export function notice(text) {
  $("notice").hidden = !text;
  $("notice").replaceChildren(...(text
    ? [el("span", {}, text), el("button", { class: "icon", "aria-label": "Dismiss", on: { click: () => notice("") } }, "✕")]
    : []));
}

// --- what was read ---

const mark = (who, key) => read[who]?.[key] ?? "";

export function markRead(key, ts) {
  if (!ts || document.hidden || mark(app.me, key) >= ts) return;
  (read[app.me] ??= {})[key] = ts;
  store.set("read", read);
}

const roots = (channel) => channel.messages.filter((m) => !m.thread);
const privates = (channel, thread) => channel.privates.filter((p) => (p.thread ?? null) === thread)
  .map((p) => ({ ...p, own: true, app: true, name: "drbot", user: "drbot", edits: 0 }));
export const replies = (channel, ts) => [...channel.messages.filter((m) => m.thread === ts), ...privates(channel, ts)]
  .sort((a, b) => (a.ts < b.ts ? -1 : 1));

function unread(channel, person) {
  const since = mark(person.user, channel.id);
  const fresh = roots(channel).filter((m) => m.ts > since && m.user !== person.user).length;
  return fresh + person.privates.filter((p) => p.channel === channel.id && !p.thread && p.ts > since).length;
}

export const unreadReplies = (channel, ts) =>
  replies(channel, ts).filter((m) => m.ts > mark(app.me, `${channel.id}/${ts}`) && m.user !== app.me).length;

// --- drawing ---

// Keeps the elements whose content did not change, so that focus and scroll positions stay.
export function patch(list, items) {
  const old = new Map([...list.children].map((c) => [c.dataset.key, c]));
  const fresh = items.map(({ key, content, make }) => {
    const text = JSON.stringify(content);
    const known = old.get(key);
    if (known && known.content === text) return known;
    const made = make();
    made.dataset.key = key;
    made.content = text;
    return made;
  });
  for (const child of [...list.children]) if (!fresh.includes(child)) child.remove();
  fresh.forEach((child, at) => { if (list.children[at] !== child) list.insertBefore(child, list.children[at] ?? null); });
}

const badge = (n) => (n ? el("span", { class: "badge", "aria-label": `${n} unread` }, n) : null);
const clock = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const tint = (name) => ({ A: "a", B: "b", C: "c" })[name.slice(0, 1)] ?? "";
const initials = (m) => el("span", { class: `avatar ${m.app ? "bot" : tint(m.name)}`, "aria-hidden": "true" },
  m.app ? "dr" : m.name.slice(0, 1));

function threadButton(channel, m) {
  const all = replies(channel, m.ts);
  if (all.length === 0) return null;
  const fresh = unreadReplies(channel, m.ts);
  return el("button", { class: `thread ${fresh ? "fresh" : ""}`, type: "button", on: { click: () => openSide("thread", m.ts) } },
    `${all.length} ${all.length === 1 ? "reply" : "replies"}`, badge(fresh),
    el("span", { class: "hint" }, `last at ${clock(all.at(-1).ts)}`));
}

export function message(channel, m, options = {}) {
  const error = app.errors.get(m.ts);
  const act = (element, pressed) => press(channel, m, element, pressed);
  return el("li", { class: `message ${m.own ? "private" : ""}`, "data-ts": m.ts, tabindex: "-1" },
    initials(m),
    el("div", { class: "content" },
      m.own ? el("p", { class: "only-you" }, "Only visible to you") : null,
      el("div", { class: "who" }, el("b", {}, m.name), m.app ? el("span", { class: "app" }, "APP") : null,
        el("time", {}, clock(m.ts)), m.edits ? el("span", { class: "edited", title: `${m.edits} edits` }, "(edited)") : null),
      el("div", { class: "body" }, body(m, act)),
      error ? el("p", { class: "failed", role: "alert" }, error) : null,
      options.inThread ? null : threadButton(channel, m)));
}

// Whether the newest message is in sight; it stays so when the list or the window changes.
let atBottom = true;
const toBottom = () => { const list = $("messages"); list.scrollTop = list.scrollHeight; };

function drawMessages() {
  const channel = current();
  const list = $("messages");
  const bottom = atBottom || list.dataset.channel !== channel.id + app.me;
  const all = [...roots(channel), ...privates(channel, null)].sort((a, b) => (a.ts < b.ts ? -1 : 1));
  const items = all.map((m) => ({
    key: m.ts, make: () => message(channel, m),
    content: [m, app.errors.get(m.ts), m.own ? 0 : replies(channel, m.ts).length, m.own ? 0 : unreadReplies(channel, m.ts)],
  }));
  if (items.length === 0) {
    items.push({ key: "empty", content: 0, make: () => el("li", { class: "empty" },
      el("b", {}, `This is the beginning of #${channel.name}.`), el("p", {}, "Try  /dr status  or  /dr help")) });
  }
  patch(list, items);
  if (bottom) toBottom();
  list.dataset.channel = channel.id + app.me;
  markRead(channel.id, all.at(-1)?.ts);
}

export const current = () => app.state.channels.find((c) => c.id === app.channel) ?? app.state.channels[0];

function drawBar() {
  const me = app.state.people.find((p) => p.user === app.me);
  patch($("channels"), app.state.channels.map((c) => {
    const n = unread(c, me);
    const here = c.id === current().id;
    return { key: c.id, content: [n, here], make: () => el("li", {}, el("button", {
      class: `row ${n ? "unread" : ""}`, "aria-current": here ? "true" : null,
      on: { click: () => { app.channel = c.id; menu(false); draw(); } },
    }, `# ${c.name}`, badge(n))) };
  }));
  patch($("people"), app.state.people.map((p) => {
    const n = app.state.channels.reduce((sum, c) => sum + unread(c, p), 0);
    const here = p.user === app.me;
    return { key: p.user, content: [n, here], make: () => el("li", {}, el("button", {
      class: "row person", "aria-pressed": String(here), "data-person": p.name, on: { click: () => actAs(p.user) },
    }, el("span", { class: `avatar small ${tint(p.name)}`, "aria-hidden": "true" }, p.name.slice(0, 1)),
    el("span", { class: "named" }, p.name, el("small", {}, p.roles.join(", "))), badge(n))) };
  }));
  $("title").textContent = `# ${current().name}`;
  $("bot").textContent = app.state.bot;
  $("avatar").textContent = me.name.slice(0, 1);
  $("avatar").className = `avatar small ${tint(me.name)}`;
  $("text").placeholder = `Message #${current().name} as ${me.name}, or /dr …`;
  $("open-panel").hidden = !app.state.panel;
  const troubled = app.state.faults.set.length + Number(app.state.faults.down) + Number(app.state.faults.limited);
  $("open-faults").classList.toggle("on", troubled > 0);
}

export function draw() {
  // First what marks a thread as read, then what shows marks.
  refreshSide();
  drawMessages();
  drawBar();
  drawModal();
}

function actAs(user) {
  app.me = user;
  store.set("me", user);
  app.errors.clear();
  notice("");
  menu(false);
  return refresh();
}

function menu(open) {
  document.body.classList.toggle("menu", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

// --- acting ---

function confirmed(element) {
  const ask = element.confirm;
  if (!ask) return Promise.resolve(true);
  return new Promise((done) => {
    const box = $("confirm");
    const close = (yes) => { box.close(); done(yes); };
    box.oncancel = () => done(false);
    box.replaceChildren(el("h2", {}, words(ask.title)), el("p", {}, words(ask.text)),
      el("div", { class: "actions" },
        el("button", { class: "act plain", on: { click: () => close(false) } }, words(ask.deny)),
        el("button", { class: `act ${ask.style === "danger" ? "danger" : "primary"}`, on: { click: () => close(true) } }, words(ask.confirm))));
    box.showModal();
  });
}

async function press(channel, m, element, pressed) {
  if (!(await confirmed(element))) return;
  app.errors.delete(m.ts);
  pressed.disabled = true;
  pressed.classList.add("busy");
  const answer = await send("/page/click", {
    as: app.me, channel: channel.id, ts: m.ts, action: element.action_id, value: String(element.value ?? ""),
  });
  pressed.disabled = false;
  pressed.classList.remove("busy");
  if (!answer.ok) app.errors.set(m.ts, told(answer));
  draw();
}

let shownView = null;

function drawModal() {
  const view = app.state.view;
  const box = $("modal");
  if (view?.id === shownView) return;
  shownView = view?.id ?? null;
  if (!view) { if (box.open) box.close(); return; }
  const close = () => send("/page/close", { as: app.me, view: view.id });
  const form = el("form", { novalidate: true, on: { submit: (event) => { event.preventDefault(); submit(view, form); } } },
    el("header", {}, el("h2", {}, words(view.title)),
      el("button", { type: "button", class: "icon", "aria-label": "Close", on: { click: close } }, "✕")),
    el("p", { class: "failed", role: "alert", hidden: true }),
    el("div", { class: "modal-body" }, (view.blocks ?? []).map((b) => block(b, () => {}))),
    el("footer", {},
      el("button", { type: "button", class: "act plain", on: { click: close } }, view.close ? words(view.close) : "Cancel"),
      view.submit ? el("button", { type: "submit", class: "act primary" }, words(view.submit)) : null));
  box.oncancel = (event) => { event.preventDefault(); close(); };
  box.replaceChildren(form);
  if (!box.open) box.showModal();
  form.querySelector("textarea, input, select")?.focus();
}

async function submit(view, form) {
  const fields = [...form.querySelectorAll("[data-block]")];
  const values = Object.fromEntries(fields.map((f) => [f.dataset.block, f.multiple ? [...f.selectedOptions].map((o) => o.value).join(",") : f.value]));
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  const answer = await send("/page/submit", { as: app.me, view: view.id, values });
  button.disabled = false;
  const failed = form.querySelector(".failed");
  failed.hidden = answer.ok || Boolean(answer.errors);
  failed.textContent = failed.hidden ? "" : told(answer);
  let first = null;
  for (const field of fields) {
    const says = answer.errors?.[field.dataset.block];
    const shown = document.getElementById(`${field.id}-error`);
    shown.hidden = !says;
    shown.textContent = says ?? "";
    field.setAttribute("aria-invalid", String(Boolean(says)));
    if (says) first ??= field;
  }
  first?.focus();
}

// Takes what was typed into a box, in the channel or in a thread of it, and empties the box once it is sent.
export async function typed(event, box, thread = null) {
  event.preventDefault();
  const text = box.value.trim();
  if (!text) return;
  const command = /^\/dr(?:\s+([\s\S]*))?$/.exec(text);
  const to = { as: app.me, channel: current().id };
  if (text.startsWith("/") && !command) {
    notice(`${text.split(/\s/)[0]} is not a valid command. Messages that start with "/" are taken as commands.`);
    return;
  }
  if (command && thread) {
    notice("/dr is not supported in threads. Sorry! Write @drbot and the command instead.");
    return;
  }
  notice("");
  box.value = "";
  hints();
  const answer = command ? await send("/page/slash", { ...to, text: command[1] ?? "" }) : await send("/page/say", { ...to, thread, text });
  if (!answer.ok) {
    notice(told(answer));
    if (!box.value) box.value = text;
  }
}

function hints() {
  const text = $("text").value;
  const open = /^\/(d|dr|dr\s\S*)?$/.test(text) && app.state !== null;
  const start = text.replace(/^\/(dr?)?\s?/, "");
  const fitting = open ? app.state.commands.filter((c) => c.name.startsWith(start)) : [];
  $("hints").hidden = fitting.length === 0;
  $("hints").firstElementChild.replaceChildren(...fitting.map((c) => el("li", {}, el("button", {
    type: "button", on: { click: () => { $("text").value = `/dr ${c.name} `; $("text").focus(); hints(); } },
  }, el("code", {}, c.usage), el("span", {}, c.summary)))));
}

// --- staying up to date ---

let busy = false;
let again = false;

export async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  do {
    again = false;
    try {
      const answer = await fetch(`/page/state?as=${encodeURIComponent(app.me)}`);
      if (!answer.ok) { app.me = "U01ALICE"; again = answer.status === 400; continue; }
      const state = await answer.json();
      if (state.me === app.me) { app.state = state; draw(); } else again = true;
    } catch { live(false); }
  } while (again);
  busy = false;
}

function live(on) {
  $("live").textContent = on ? "live" : "reconnecting …";
  $("live").classList.toggle("lost", !on);
}

function listen() {
  const source = new EventSource("/page/events");
  source.addEventListener("open", () => live(true));
  source.addEventListener("change", refresh);
  source.addEventListener("panel", (event) => panelData(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    live(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

$("compose").addEventListener("submit", (event) => typed(event, $("text")));
$("text").addEventListener("input", hints);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("hints").hidden = true;
  if (event.key === "Tab" && !$("hints").hidden && $("text").value.length > 1) {
    event.preventDefault();
    $("hints").querySelector("button")?.click();
  }
});
$("messages").addEventListener("scroll", (event) => {
  const list = event.currentTarget;
  if (list.clientHeight === seenHeight) atBottom = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
});
let seenHeight = $("messages").clientHeight;
new ResizeObserver(() => {
  seenHeight = $("messages").clientHeight;
  if (atBottom) toBottom();
}).observe($("messages"));
$("menu").addEventListener("click", () => menu(!document.body.classList.contains("menu")));
document.querySelector("main").addEventListener("click", (event) => { if (!event.target.closest("#menu")) menu(false); });
document.addEventListener("visibilitychange", () => { if (app.state) draw(); });
sideInit();
await refresh();
if (app.state?.panel && innerWidth > 1000 && side.kind === null) openSide("panel");
listen();

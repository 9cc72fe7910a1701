// Slack blocks as elements of the page. Takes JSON that anybody may have influenced; gives elements whose
// texts are set as texts, never as markup.

export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== ""));
  return made;
}

function link(url, text) {
  if (!/^https?:\/\//i.test(url)) return text || url;
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text || url);
}

const entities = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

function reference(inside) {
  const at = inside.indexOf("|");
  const target = at < 0 ? inside : inside.slice(0, at);
  const label = at < 0 ? "" : entities(inside.slice(at + 1));
  if (target.startsWith("!date^")) return label;
  if (/^[!@#]/.test(target)) return el("span", { class: "mention" }, label || target.replace(/^!/, "@"));
  return link(entities(target), label);
}

// Slack's markup: references, code, bold, italic and struck words.
export function mrkdwn(text) {
  const parts = [];
  const pattern = /```([\s\S]+?)```|`([^`\n]+)`|<([^<>]+)>|(?<![\w*])\*(?!\s)([^*\n]+?)(?<!\s)\*(?!\w)|(?<![\w_])_(?!\s)([^_\n]+?)(?<!\s)_(?!\w)/g;
  let from = 0;
  for (const hit of text.matchAll(pattern)) {
    parts.push(entities(text.slice(from, hit.index)));
    from = hit.index + hit[0].length;
    if (hit[1] !== undefined) parts.push(el("pre", {}, entities(hit[1].replace(/^\n/, ""))));
    else if (hit[2] !== undefined) parts.push(el("code", {}, entities(hit[2])));
    else if (hit[3] !== undefined) parts.push(reference(hit[3]));
    else if (hit[4] !== undefined) parts.push(el("b", {}, ...mrkdwn(hit[4])));
    else parts.push(el("i", {}, ...mrkdwn(hit[5])));
  }
  parts.push(entities(text.slice(from)));
  return parts.filter((p) => p !== "");
}

export function words(object) {
  if (!object) return [];
  const text = String(object.text ?? "");
  return object.type === "mrkdwn" ? mrkdwn(text) : [text];
}

function styled(text, style = {}) {
  let made = text;
  if (style.code) made = el("code", {}, made);
  if (style.bold) made = el("b", {}, made);
  if (style.italic) made = el("i", {}, made);
  if (style.strike) made = el("s", {}, made);
  return made;
}

function leaf(part) {
  switch (part.type) {
    case "text": return styled(String(part.text ?? ""), part.style);
    case "link": return link(String(part.url ?? ""), String(part.text ?? ""));
    case "user": return el("span", { class: "mention" }, `@${part.user_id}`);
    case "channel": return el("span", { class: "mention" }, `#${part.channel_id}`);
    case "broadcast": return el("span", { class: "mention" }, `@${part.range}`);
    case "emoji": return `:${part.name}:`;
    case "date": return String(part.fallback ?? "");
    default: return `[${part.type}]`;
  }
}

function rich(part) {
  const inside = () => (part.elements ?? []).map(leaf);
  switch (part.type) {
    case "rich_text_section": return el("div", { class: "rich" }, inside());
    case "rich_text_preformatted": return el("pre", { tabindex: "0" }, inside());
    case "rich_text_quote": return el("blockquote", {}, inside());
    case "rich_text_list":
      return el(part.style === "ordered" ? "ol" : "ul", {}, (part.elements ?? []).map((p) => el("li", {}, rich(p))));
    default: return el("div", {}, `[${part.type}]`);
  }
}

function button(element, act) {
  const label = String(element.text?.text ?? "");
  const style = element.style === "primary" || element.style === "danger" ? element.style : "plain";
  return el("button", {
    type: "button", class: `act ${style}`, "data-action": element.action_id,
    "aria-label": element.accessibility_label, on: { click: (event) => act(element, event.currentTarget) },
  }, label);
}

// What a field is filled in with: typed, or chosen from a list.
function control(element, shared) {
  const many = element.type === "multi_static_select";
  if (many || element.type === "static_select") {
    const set = (many ? element.initial_options ?? [] : [element.initial_option]).map((o) => o?.value);
    const options = (element.options ?? []).map((o) =>
      el("option", { value: o.value, selected: set.includes(o.value) }, words(o.text)));
    if (many) return el("select", { ...shared, multiple: true, size: Math.min(8, Math.max(3, options.length)) }, options);
    const none = el("option", { value: "", selected: set[0] === undefined }, String(element.placeholder?.text ?? "Choose an option"));
    return el("select", shared, none, options);
  }
  const kind = element.multiline ? "textarea" : "input";
  const made = el(kind, {
    ...shared, maxlength: element.max_length, rows: kind === "textarea" ? 4 : null, placeholder: element.placeholder?.text,
  });
  made.value = String(element.initial_value ?? "");
  return made;
}

function input(block) {
  const id = `field-${block.block_id}`;
  return el("div", { class: "field" },
    el("label", { for: id }, words(block.label), block.optional ? " (optional)" : ""),
    control(block.element ?? {}, { id, "data-block": block.block_id, "aria-describedby": `${id}-error` }),
    block.hint ? el("p", { class: "hint" }, words(block.hint)) : null,
    el("p", { class: "field-error", id: `${id}-error`, role: "alert", hidden: true }));
}

// One block; `act` is called with the button that was pressed and its element.
export function block(block, act) {
  switch (block.type) {
    case "header": return el("h3", {}, words(block.text));
    case "divider": return el("hr");
    case "section":
      return el("div", { class: "section" },
        el("div", {}, block.text ? el("p", {}, words(block.text)) : null,
          block.fields ? el("div", { class: "fields" }, block.fields.map((f) => el("p", {}, words(f)))) : null),
        block.accessory?.type === "button" ? button(block.accessory, act) : null);
    case "context":
      return el("div", { class: "context" },
        (block.elements ?? []).map((e) => el("span", {}, e.type === "image" ? String(e.alt_text ?? "") : words(e))));
    case "actions":
      return el("div", { class: "actions" }, (block.elements ?? []).map((e) =>
        e.type === "button" ? button(e, act) : el("span", {}, `[${e.type}]`)));
    case "rich_text": return el("div", { class: "rich-text" }, (block.elements ?? []).map(rich));
    case "image": return el("p", { class: "hint" }, `[image: ${block.alt_text ?? ""}]`);
    case "input": return input(block);
    default: return el("p", { class: "hint" }, `[${block.type}]`);
  }
}

// All blocks, or the text when there are none.
export function body(message, act) {
  const blocks = message.blocks ?? [];
  if (blocks.length === 0) return [el("p", { class: "plain" }, mrkdwn(String(message.text ?? "")))];
  return blocks.map((b) => block(b, act));
}

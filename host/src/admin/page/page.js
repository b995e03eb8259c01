// Shows what /api/v1 says, and asks again. Values are put in as text, never as markup.
"use strict";

const PERIOD_MS = 2000; // between two questions
const PATIENCE_MS = 8000; // for an answer
const MOST_ROWS = 200;

const by = (id) => document.getElementById(id);

/** An element with attributes and children; what is no node becomes text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Replaces the children if they would be others, so that what is selected or in focus stays so. */
function show(element, ...children) {
  const next = el("div", {}, ...children);
  const same = element.childNodes.length === next.childNodes.length
    && [...element.childNodes].every((node, index) => node.isEqualNode(next.childNodes[index]));
  if (!same) element.replaceChildren(...next.childNodes);
}

// ---- Texts ----

function count(number) {
  return number >= 1e6 ? `${(number / 1e6).toFixed(1)} M` : number >= 1e4 ? `${(number / 1e3).toFixed(1)} k` : String(number);
}

function rate(perSecond) {
  if (perSecond === 0) return "0";
  return perSecond >= 100 ? count(Math.round(perSecond)) : perSecond >= 10 ? perSecond.toFixed(1) : perSecond.toFixed(2);
}

function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [value, unit] = seconds < 1e-3 ? [seconds * 1e6, "µs"] : seconds < 1 ? [seconds * 1e3, "ms"] : [seconds, "s"];
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; number >= 1024 && unit < units.length - 1; unit++) number /= 1024;
  return `${unit === 0 ? number : number.toFixed(1)} ${units[unit]}`;
}

const ago = (now, at) => `${span((Date.parse(now) - Date.parse(at)) / 1000)} ago`;
const short = (digest) => digest.slice(0, 12);
const named = ({ kind, namespace, name }) => `${kind} ${namespace === null ? "" : `${namespace}/`}${name}`;
const since = (now, at) => el("time", { datetime: at, title: at }, ago(now, at));

// ---- States, the worst first ----

const STATES = {
  "refused": ["bad", "file refused"],
  "paused": ["bad", "paused"],
  "left-behind": ["bad", "left behind"],
  "rolled-back": ["bad", "rolled back"],
  "waiting": ["warn", "waiting"],
  "loading": ["warn", "loading"],
  "on-probation": ["warn", "on probation"],
  "ready": ["good", "ready"],
};
const RANKS = Object.keys(STATES);
const rank = (plugin) => {
  const state = RANKS.indexOf(plugin.state);
  // An object that a plugin cannot stand is worth a look after the plugins that do not work.
  return plugin.problem === null && plugin.queue.failing > 0 ? 3.5 : state;
};
const pill = (kind, text) => el("span", { class: `pill ${kind}` }, text);

function state(plugin) {
  const pills = [pill(...(STATES[plugin.state] ?? ["warn", plugin.state]))];
  if (plugin.loading && plugin.state !== "loading") pills.push(" ", pill("warn", "loading anew"));
  if (plugin.queue.failing > 0) pills.push(" ", pill("bad", `${count(plugin.queue.failing)} failing`));
  return pills;
}

// ---- Charts: a slot is a bar, or a point ----

const WIDTH = 540, HEIGHT = 64, MINUTES = 15;

function charts(now, { slotSeconds: length, slots }) {
  const end = Date.parse(now);
  const width = WIDTH * length / (MINUTES * 60);
  const placed = slots.map((slot) => {
    const age = (end - Date.parse(slot.start)) / 1000;
    // The last slot is not full yet.
    const seconds = Math.max(1, Math.min(length, age));
    return { ...slot, x: WIDTH * (1 - age / (MINUTES * 60)), perSecond: slot.calls / seconds, failedPerSecond: slot.failed / seconds };
  }).filter((slot) => slot.x > -width);
  const most = Math.max(0, ...placed.map((slot) => slot.perSecond));
  const slowest = Math.max(0, ...placed.map((slot) => slot.p99Seconds));
  const axis = () => el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${MINUTES} min ago`), el("span", {}, "now"));
  const frame = (label, ...children) => svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label,
  }, ...children);

  const bar = (slot, from, value, name) => {
    const [height, y] = [HEIGHT * value / (most || 1), HEIGHT * from / (most || 1)];
    return svg("rect", { class: name, x: slot.x.toFixed(1), width: (width - 1).toFixed(1), height: height.toFixed(1), y: (HEIGHT - y - height).toFixed(1) });
  };
  const bars = placed.flatMap((slot) => [
    bar(slot, 0, slot.failedPerSecond, "bar-bad"),
    bar(slot, slot.failedPerSecond, slot.perSecond - slot.failedPerSecond, "bar-good"),
  ]);
  const failed = placed.reduce((sum, slot) => sum + slot.failed, 0);
  const total = placed.reduce((sum, slot) => sum + slot.calls, 0);

  const line = (key, name) => {
    let path = "", before = -Infinity;
    for (const slot of placed) {
      const [x, y] = [slot.x + width / 2, HEIGHT - 2 - (HEIGHT - 4) * slot[key] / (slowest || 1)];
      // Where there were no calls, there is no line; a point alone is a short one.
      path += x - before > width * 1.5 ? `M${(x - 1).toFixed(1)} ${y.toFixed(1)}L${x.toFixed(1)} ${y.toFixed(1)}` : `L${x.toFixed(1)} ${y.toFixed(1)}`;
      before = x;
    }
    return svg("path", { class: name, d: path || "M0 0" });
  };
  return [
    el("figure", {},
      el("figcaption", {}, el("span", {}, "Calls a second", failed > 0 ? ", in red those that failed" : ""), el("span", {}, `at most ${rate(most)}`)),
      frame(`Calls of the last ${MINUTES} minutes: ${total}, of which ${failed} failed; at most ${rate(most)} a second`, ...bars), axis()),
    el("figure", {},
      el("figcaption", {}, el("span", {}, "Time of a call ", el("span", { class: "key-p50" }, "p50"), " ", el("span", { class: "key-p99" }, "p99")), el("span", {}, `at most ${time(slowest)}`)),
      frame(`Time of a call in the last ${MINUTES} minutes: p99 at most ${time(slowest)}`, line("p99Seconds", "line-p99"), line("p50Seconds", "line-p50")), axis()),
  ];
}

// ---- The host ----

function showStatus(status) {
  show(by("version"), status.version);
  show(by("source"), `${status.source}, up ${span(status.uptimeSeconds)}`);
  const health = (what, { good, checks }) => {
    const bad = checks.filter((check) => !check.good).map((check) => check.text);
    return el("span", { class: `pill ${good ? "good" : "bad"}`, title: bad.join("\n") || null }, good ? what : `not ${what}`);
  };
  show(by("health"), health("alive", status.alive), health("ready", status.ready));

  const figures = [
    ["Plugins", count(status.plugins)], ["Objects", count(status.objects)],
    ["Waiting", count(status.waiting)], ["In a call", count(status.inCall)],
    ["Calls/s", rate(status.calls.perSecond)], ["Failed/s", rate(status.calls.failedPerSecond), status.calls.failedPerSecond > 0],
    ["p50", time(status.calls.p50Seconds)], ["p99", time(status.calls.p99Seconds)],
  ];
  show(by("figures"), ...figures.map(([name, value, bad]) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: bad ? "bad" : null }, value))));
  show(by("charts"), ...charts(status.now, status.history));

  const states = {
    "listed": pill("good", "listed"), "starting": pill("warn", "starting"),
    "not-served": pill("warn", "not served"), "refused": pill("bad", "refused"),
  };
  const watches = status.watches.toSorted((a, b) => (a.problem === null) - (b.problem === null));
  by("watches-count").textContent = String(watches.length);
  show(by("watches").tBodies[0], ...watches.slice(0, MOST_ROWS).map((watch) => el("tr", {},
    el("th", { scope: "row" }, watch.watch),
    el("td", { "data-label": "State" }, el("span", {}, states[watch.state] ?? watch.state, watch.problem === null ? "" : ` ${watch.problem}`)),
    el("td", { class: "number", "data-label": "Objects" }, count(watch.objects)),
    el("td", { class: "number", "data-label": "JSON" }, bytes(watch.bytes)),
    el("td", { class: "number", "data-label": "Plugins" }, count(watch.plugins)),
  )));
  leftOut(by("watches-more"), watches.length, "");

  by("replicas").hidden = status.election === null;
  if (status.election !== null) {
    const { text, holds, shards, others } = status.election;
    const facts = [["This replica", text], ["Shards held", shards === null ? "–" : `${holds.length} of ${shards}${shards > 1 && holds.length > 0 ? `: ${holds.join(", ")}` : ""}`], ["Others", others.join(", ") || "none that hold a lease"]];
    by("election").className = "facts";
    show(by("election"), ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }
}

function leftOut(element, all, how) {
  element.hidden = all <= MOST_ROWS;
  element.textContent = `${all - MOST_ROWS} more are not shown${how}`;
}

// ---- What is wrong ----

let announced = "";

function showProblems(status, plugins) {
  const unhealthy = [...status.alive.checks, ...status.ready.checks].filter((check) => !check.good).map((check) => check.text);
  // Watches and plugins are told of by themselves, with what to do.
  const other = unhealthy.filter((text) => !/^(watch of|plugin) /.test(text));
  const items = [
    ...other.map((text) => ["The host", text]),
    ...plugins.filter((plugin) => plugin.problem !== null).map((plugin) => [plugin.name, plugin.problem]),
    ...status.watches.filter((watch) => watch.problem !== null).map((watch) => [`Watch of ${watch.watch}`, watch.problem]),
  ];
  by("attention").hidden = items.length === 0;
  show(by("problems"), ...items.slice(0, 50).map(([what, text]) => el("li", {}, el("b", {}, `${what}:`), ` ${text}`)),
    ...(items.length > 50 ? [el("li", { class: "dim" }, `and ${items.length - 50} more`)] : []));
  document.title = items.length > 0 ? `(${items.length}) Oarlock` : "Oarlock";
  const text = items.length > 0 ? `Needs attention: ${items.map(([what]) => what).slice(0, 5).join(", ")}` : "Nothing needs attention";
  if (text !== announced) by("announce").textContent = announced = text;
}

// ---- Plugins ----

const opened = new Map(); // the names of the plugins that are shown whole, and what was told of them
const rows = new Map(); // by name

function rowOf(name) {
  if (!rows.has(name)) {
    const id = `detail-${rows.size}-${Date.now()}`;
    const button = el("button", { class: "open", type: "button", "aria-expanded": "false", "aria-controls": id }, name);
    const cell = (label, kind) => el("td", { "data-label": label, class: kind });
    const described = el("div", { class: "dim" });
    const cells = {
      state: cell("State"), digest: cell("Digest"), watches: cell("Watches"), queue: cell("Queue", "number"),
      rate: cell("Calls/s", "number"), p50: cell("p50", "number"), p99: cell("p99", "number"),
      failed: cell("Failed", "number"), error: cell("Last error"),
    };
    const row = el("tr", {}, el("th", { scope: "row" }, button, described), ...Object.values(cells));
    const content = el("td", { colspan: "10" });
    const detail = el("tr", { class: "detail", id }, content);
    detail.hidden = true;
    button.addEventListener("click", () => {
      const open = !opened.delete(name);
      if (open) opened.set(name, null);
      button.setAttribute("aria-expanded", String(open));
      detail.hidden = !open;
      if (open) ask();
    });
    rows.set(name, { row, detail, content, described, cells });
  }
  return rows.get(name);
}

function fillRow({ described, cells }, now, plugin) {
  const { inForce: version, queue, calls, lastError: error } = plugin;
  const title = version?.describedName === plugin.name ? "" : `${version?.describedName} `;
  show(described, version?.describedVersion ? `${title}${version.describedVersion}` : "");
  show(cells.state, el("span", {}, ...state(plugin)));
  show(cells.digest, ...(version ? [el("span", {}, el("span", { class: "code", title: version.digest }, short(version.digest)), " ", version.since ? el("span", { class: "dim" }, since(now, version.since)) : "")] : []));
  const watches = version?.watches ?? [];
  show(cells.watches, ...(watches.length ? [el("span", {}, watches.slice(0, 3).join(", "), watches.length > 3 ? ` and ${watches.length - 3} more` : "")] : []));
  show(cells.queue, version ? el("span", {}, count(queue.waiting), queue.inCall ? ` + ${queue.inCall} in call` : "", queue.delayed ? el("span", { class: "dim" }, ` · ${count(queue.delayed)} later`) : "") : "");
  show(cells.rate, version ? rate(calls.perSecond) : "");
  show(cells.p50, version ? time(calls.p50Seconds) : "");
  show(cells.p99, version ? time(calls.p99Seconds) : "");
  show(cells.failed, version ? el("span", { class: calls.failed ? "bad" : null }, count(calls.failed), el("span", { class: "dim" }, ` of ${count(calls.total)}`)) : "");
  const brief = (text) => text.length > 120 ? `${text.slice(0, 120)}…` : text;
  show(cells.error, ...(error ? [el("span", {}, el("b", {}, named(error.object)), " ", brief(error.reason), " ", el("span", { class: "dim" }, since(now, error.last)))] : []));
}

function fillDetail({ content }, detail, queue) {
  if (detail === null) return show(content, el("p", { class: "dim" }, "…"));
  const { now, inForce: version } = detail;
  const facts = [];
  const fact = (name, value) => { if (value !== null && value !== undefined && value !== "") facts.push(el("dt", {}, name), el("dd", {}, value)); };
  fact("Problem", detail.problem && el("span", { class: "reason bad" }, detail.problem));
  if (version) {
    fact("Digest", el("span", { class: "code" }, version.digest));
    fact("In force since", version.since && el("span", {}, version.since, " ", el("span", { class: "dim" }, since(now, version.since))));
    fact("Kind", version.kind);
    fact("Watches", version.watches.join(", "));
    fact("Owns", version.owns.join(", "));
    fact("Reads", version.reads.join(", "));
    fact("Finalizer", version.finalizer);
    fact("Calls at a time", String(version.concurrency));
    fact("Acts as", version.serviceAccount);
    fact("Falls back to", version.fallsBackTo && el("span", { class: "code" }, short(version.fallsBackTo)));
  }
  const table = (title, heads, lines) => [
    el("h3", {}, title),
    lines.length === 0 ? el("p", { class: "dim" }, "none") : el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, ...lines.map((cells) => el("tr", {}, ...cells.map((cell, index) => el("td", { "data-label": heads[index] }, el("span", { class: "reason" }, cell))))))),
  ];
  const errors = detail.errors.map((error) => [since(now, error.last), named(error.object), error.count > 1 ? `${count(error.count)} times` : "once", error.reason]);
  const results = { "loaded": pill("good", "loaded"), "refused": pill("bad", "refused"), "rolled-back": pill("bad", "rolled back") };
  const reloads = detail.reloads.map((reload) => [since(now, reload.at), results[reload.result] ?? reload.result, reload.digest ? short(reload.digest) : "–", reload.reason ?? ""]);
  const work = queue === null ? [] : [
    ...queue.inCall.map((call) => [named(call.object), `${call.step}, for ${time(call.forSeconds)}`, ""]),
    ...queue.waiting.map((next) => [named(next.object), next.why === "changed" ? "waits: it has changed" : "waits: backlog", next.attempt ? `attempt ${next.attempt}` : ""]),
    ...queue.delayed.map((later) => [named(later.object), `${later.why} in ${span(later.dueInSeconds)}`, later.attempt ? `attempt ${later.attempt}` : ""]),
  ];
  const more = queue === null ? 0 : queue.waitingLeftOut + queue.delayedLeftOut;
  show(content,
    el("dl", { class: "facts" }, ...facts), el("div", { class: "charts" }, ...charts(now, detail.history)),
    ...table("Last errors", ["When", "Object", "How often", "Why"], errors),
    ...table("Last reloads", ["When", "Result", "In force", "Why"], reloads),
    ...table(more > 0 ? `Queue, and ${count(more)} more` : "Queue", ["Object", "What", "Attempt"], work));
}

function showPlugins({ now, plugins }, details) {
  const words = by("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (plugin) => [plugin.name, (STATES[plugin.state] ?? [])[1], plugin.queue.failing ? "failing" : "", ...(plugin.inForce?.watches ?? [])].join(" ").toLowerCase();
  const wanted = plugins.filter((plugin) => words.every((word) => text(plugin).includes(word)))
    .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  by("plugins-count").textContent = words.length ? `${wanted.length} of ${plugins.length}` : String(plugins.length);
  const shown = wanted.slice(0, MOST_ROWS).flatMap((plugin) => {
    const row = rowOf(plugin.name);
    fillRow(row, now, plugin);
    const told = details.get(plugin.name);
    if (opened.has(plugin.name)) fillDetail(row, ...(told ?? [null, null]));
    return [row.row, row.detail];
  });
  const body = by("plugins").tBodies[0];
  const same = body.rows.length === shown.length && shown.every((row, index) => body.rows[index] === row);
  if (!same) {
    const focused = document.activeElement;
    body.replaceChildren(...shown);
    if (body.contains(focused)) focused.focus({ preventScroll: true });
  }
  leftOut(by("plugins-more"), wanted.length, ": filter by name, state or kind");
  const names = new Set(plugins.map((plugin) => plugin.name));
  for (const name of rows.keys()) {
    if (!names.has(name)) { rows.delete(name); opened.delete(name); }
  }
}

// ---- Asking ----

let lastSeen = null, timer, asked = 0;
let latest = null; // what was told last

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  // What is gone is not shown.
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function ask() {
  clearTimeout(timer);
  const mine = ++asked;
  const began = performance.now();
  const whole = async (name) => {
    const path = `api/v1/plugins/${encodeURIComponent(name)}`;
    const [detail, queues] = await Promise.all([get(path), get(`${path}/queue?limit=20`)]);
    return [name, [detail, queues?.queues[0] ?? null]];
  };
  try {
    const [status, plugins, ...details] = await Promise.all([get("api/v1/status"), get("api/v1/plugins"), ...[...opened.keys()].map(whole)]);
    // Another question was asked meanwhile.
    if (mine !== asked) return;
    latest = { status, plugins, details: new Map(details) };
    lastSeen = new Date();
    by("gone").hidden = true;
    by("main").classList.remove("stale");
    draw();
  } catch (error) {
    if (mine !== asked) return;
    by("gone").hidden = false;
    by("main").classList.add("stale");
    const text = lastSeen === null ? "The host cannot be reached."
      : `The host cannot be reached. What is shown is as it was at ${lastSeen.toLocaleTimeString()}; it is asked again every ${PERIOD_MS / 1000} s.`;
    if (by("gone").textContent !== text) by("gone").textContent = text;
    console.warn(error);
  }
  // A host with thousands of plugins is asked less often.
  if (!document.hidden) timer = setTimeout(ask, Math.max(PERIOD_MS, 10 * (performance.now() - began)));
}

function draw() {
  if (latest === null) return;
  showStatus(latest.status);
  showProblems(latest.status, latest.plugins.plugins.toSorted((a, b) => rank(a) - rank(b)));
  showPlugins(latest.plugins, latest.details);
}

by("filter").addEventListener("input", draw);
document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
ask();

// The events of the hub, and the parts of the page that change with them. Stands still while the page is hidden.
import { children } from "./morph.js";
import { showTimes } from "./times.js";

const base = document.documentElement.dataset.base;
const LONGEST_LOG = 200;
const SOONEST = 700; // between two looks of a part, ms

export class Live {
  #source = null;
  #timers = [];
  #parts = [...document.querySelectorAll("[data-part]")].map((place) => new Part(place, (said) => this.#trouble(said)));
  #logs = [...document.querySelectorAll("[data-log]")];
  #redis = "";
  #last = "";

  start() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.#go(true)));
    if (!document.hidden) this.#go(false);
  }

  refreshAll() {
    for (const part of this.#parts) part.look();
  }

  #go(again) {
    if (this.#source) return;
    const after = this.#last ? `?after=${encodeURIComponent(this.#last)}` : "";
    this.#source = new EventSource(`${base}/api/events/stream${after}`);
    this.#source.addEventListener("open", () => {
      this.#say("live", "live");
      if (again) this.#again();
      again = true; // each further "open" is after an interruption
    });
    this.#source.addEventListener("hello", (message) => (this.#last = message.lastEventId));
    this.#source.addEventListener("error", () => {
      this.#say("away", "the view is away; trying again");
      if (this.#source?.readyState === EventSource.CLOSED) this.#later();
    });
    this.#source.addEventListener("redis", (message) => {
      this.#redis = JSON.parse(message.data).away;
      if (this.#redis) this.#say("away", "Redis is away; trying again");
      else {
        this.#say("live", "live");
        this.#again();
      }
    });
    this.#source.addEventListener("message", (message) => {
      this.#last = message.lastEventId;
      this.#happened(JSON.parse(message.data));
    });
    for (const part of this.#parts) {
      const every = Number(part.place.dataset.every || 0) * 1000;
      if (every) this.#timers.push(setInterval(() => part.look(), every));
    }
  }

  #again() {
    if (document.querySelector("[data-reload]")) location.reload(); // what this page could not show may be there now
    else this.refreshAll();
  }

  #later() { // the server refused the stream: EventSource does not come again by itself
    this.#source.close();
    this.#source = null;
    this.#stopTimers();
    setTimeout(() => document.hidden || this.#go(true), 3000);
  }

  #pause() {
    this.#source?.close();
    this.#source = null;
    this.#stopTimers();
    this.#say("off", "stands still while hidden");
  }

  #stopTimers() {
    this.#timers.forEach(clearInterval);
    this.#timers = [];
  }

  #trouble(said) {
    if (said) this.#say("away", said);
    else if (!this.#redis && this.#source?.readyState === EventSource.OPEN) this.#say("live", "live");
  }

  #say(state, text) {
    const place = document.getElementById("live");
    if (place.dataset.state !== state || place.textContent !== text) {
      place.dataset.state = state;
      place.textContent = text;
    }
  }

  #happened(event) {
    for (const part of this.#parts) if (part.concerns(event)) part.look();
    for (const log of this.#logs) if (passes(log, event)) add(log, event);
  }
}

class Part {
  #due = 0;
  #asking = false;
  #again = false;

  constructor(place, tell) {
    this.place = place;
    this.tell = tell;
    this.on = (place.dataset.on || "").split(" ").filter(Boolean);
  }

  concerns(event) {
    return this.on.some((word) => {
      const mark = word.indexOf("=");
      if (mark < 0) return event.type.startsWith(word);
      const [name, value] = [word.slice(0, mark), word.slice(mark + 1)];
      return event.fields[name] === value || (name === "child" && (event.fields.children || "").includes(`"${value}"`));
    });
  }

  look() { // at once, but not more often than every SOONEST ms
    if (this.#asking) return void (this.#again = true);
    if (this.#due) return;
    this.#due = setTimeout(() => this.#ask(), Math.max(0, (this.last || 0) + SOONEST - performance.now()));
  }

  async #ask() {
    this.#due = 0;
    if (document.hidden) return; // looked at when it is seen again
    this.#asking = true;
    this.last = performance.now();
    const where = new URL(location.href);
    where.searchParams.set("part", this.place.dataset.part);
    where.hash = "";
    try {
      const answer = await fetch(where, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
      if (answer.ok) {
        const fresh = document.createElement("template");
        fresh.innerHTML = await answer.text();
        children(this.place, fresh.content);
        showTimes(this.place);
        this.tell("");
      } else {
        const said = { 401: "you are logged out", 404: "it is not there any more", 503: "Redis is away; trying again" }[answer.status];
        this.tell(said || `the view answers with ${answer.status || "a redirect: log in again"}`);
      }
    } catch {
      this.tell("the view is away; trying again");
    } finally {
      this.#asking = false;
      if (this.#again) {
        this.#again = false;
        this.look();
      }
    }
  }
}

function passes(log, { type, fields }) {
  const { type: kind, child, node } = log.dataset;
  if (type === "token_passed" && kind !== type) return false; // its outcome is an event of its own
  return (
    (!kind || kind === type) &&
    (!child || fields.child === child || (fields.children || "").includes(`"${child}"`)) &&
    (!node || [fields.node, fields.source, fields.target].includes(node))
  );
}

function add(log, event) {
  const line = document.createElement("li");
  line.dataset.key = event.id;
  const at = document.createElement("time");
  at.setAttribute("datetime", new Date(event.at * 1000).toISOString());
  line.append(at, " ", span("type", event.type), " ");
  for (const [name, value] of Object.entries(event.fields)) {
    if (!value) continue;
    const field = span("field", "");
    field.append(span("name", name), " ", name === "child" ? childLink(value) : span("value", name === "shards" ? spans(value) : value));
    line.append(field, " ");
  }
  log.prepend(line);
  showTimes(line);
  while (log.children.length > LONGEST_LOG) log.lastChild.remove();
  document.getElementById("log-empty")?.remove();
}

function spans(numbers) { // neighbours joined: 0,1,2,5 is 0-2,5
  const joined = [];
  for (const part of numbers.split(",")) {
    const last = joined.at(-1);
    if (last && Number(part) === last[1] + 1) last[1] = Number(part);
    else joined.push([part, Number(part)]);
  }
  return joined.map(([first, last]) => (Number(first) === last || Number.isNaN(last) ? first : `${first}-${last}`)).join(",");
}

function span(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

function childLink(id) {
  const made = document.createElement("a");
  made.className = "id";
  made.href = `${base}/child?id=${encodeURIComponent(id)}`;
  made.textContent = id;
  return made;
}

// The events of the hub, and the parts of the page that change with them. Stands still while the page is hidden.
import { children } from "./morph.js";
import { copied, follow, joined } from "./search.js";
import { showTimes } from "./times.js";

const base = document.documentElement.dataset.base;
const LONGEST_LOG = 200;
const SOONEST = 700; // between two looks of a part, ms
const REST = 20; // times what a look has taken: so long none follows

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
    for (const part of this.#parts) part.look(true);
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
      if (part.toGoOn()) part.look();
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
  #acted = false; // somebody did, since the look that is under way began
  #complete = false; // one look has come to its end
  #rest = SOONEST;

  constructor(place, tell) {
    this.place = place;
    this.tell = tell;
    this.on = (place.dataset.on || "").split(" ").filter(Boolean);
  }

  concerns(event) {
    return this.on.some((word) => {
      const mark = word.indexOf("=");
      if (mark < 0) return event.type.startsWith(word);
      const [name, value] = [word.slice(0, mark), decodeURIComponent(word.slice(mark + 1))]; // a name may have a space
      return event.fields[name] === value || (name === "child" && (event.fields.children || "").includes(`"${value}"`));
    });
  }

  toGoOn() { // the page came with the beginning of a search
    return !this.#complete && follow(this.place) !== null;
  }

  look(asked = false) { // at once, but not more often than every SOONEST ms, or, if nobody has acted, than a look that takes long
    if (this.#asking) {
      this.#again = true;
      this.#acted ||= asked;
      return;
    }
    if (this.#due && !asked) return;
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.#ask(), Math.max(0, (this.last || 0) + (asked ? SOONEST : this.#rest) - performance.now()));
  }

  async #ask() {
    this.#due = 0;
    if (document.hidden) return; // looked at when it is seen again
    this.#asking = true;
    try {
      await this.#search();
    } catch {
      this.tell("the view is away; trying again");
    } finally {
      this.#asking = false;
      this.last = performance.now();
      if (this.#again) {
        const acted = this.#acted;
        this.#again = this.#acted = false;
        this.look(acted);
      }
    }
  }

  async #search() { // step by step, if a listing takes several: the first time it is seen to grow, later only when it is whole
    let whole = this.toGoOn() ? copied(this.place) : null;
    let next = whole ? follow(whole) : location.href;
    let spent = 0;
    while (next !== null) {
      const began = performance.now();
      const fresh = await this.#fetched(next);
      if (!fresh) return;
      const took = performance.now() - began;
      spent += took;
      whole = whole ? joined(whole, fresh) : fresh;
      next = follow(whole);
      if (next === null || !this.#complete) this.#show(whole, next !== null);
      if (next === null) break;
      await new Promise((done) => setTimeout(done, 2 * took)); // Redis has others to serve
      if (document.hidden) return;
    }
    this.#complete = true;
    this.#rest = Math.max(SOONEST, REST * spent);
  }

  async #fetched(address) {
    const where = new URL(address, location.href);
    where.searchParams.set("part", this.place.dataset.part);
    where.hash = "";
    const answer = await fetch(where, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
    if (!answer.ok) {
      const said = { 401: "you are logged out", 404: "it is not there any more", 503: "Redis is away; trying again" }[answer.status];
      this.tell(said || `the view answers with ${answer.status || "a redirect: log in again"}`);
      return null;
    }
    const fresh = document.createElement("template");
    fresh.innerHTML = await answer.text();
    this.tell("");
    return fresh.content;
  }

  #show(whole, goesOn) {
    whole.querySelector("[data-going]")?.toggleAttribute("hidden", !goesOn);
    if (goesOn) this.place.setAttribute("aria-busy", "true");
    else this.place.removeAttribute("aria-busy");
    children(this.place, whole);
    showTimes(this.place);
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

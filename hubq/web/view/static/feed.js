// What a child publishes, as it comes. Stands still while the page is hidden, and goes on behind the last event.
import { showTimes } from "./times.js";

const base = document.documentElement.dataset.base;
const LONGEST = 100;

export function watchFeed() {
  const list = document.querySelector("[data-feed]");
  if (!list) return;
  let source = null;
  let last = "0";
  const begin = () => {
    if (source || document.hidden) return;
    source = new EventSource(`${base}/api/child/feed?id=${encodeURIComponent(list.dataset.feed)}&after=${encodeURIComponent(last)}`);
    source.addEventListener("message", (message) => {
      last = message.lastEventId;
      const event = JSON.parse(message.data);
      const at = document.createElement("time");
      at.setAttribute("datetime", new Date(event.at * 1000).toISOString());
      add(at, " ", span("type", event.topic), " ", span("value", event.data));
    });
    source.addEventListener("gap", (message) => {
      const { missed } = JSON.parse(message.data);
      add(span("type", "gap"), ` ${missed ?? "some"} events are no longer kept`);
    });
    for (const kind of ["end", "trouble"]) {
      source.addEventListener(kind, (message) => {
        add(span("type", kind), ` ${JSON.parse(message.data).detail ?? "the child has ended"}`);
        source.close();
      });
    }
  };
  const add = (...parts) => {
    const line = document.createElement("li");
    line.append(...parts);
    list.prepend(line);
    showTimes(line);
    while (list.children.length > LONGEST) list.lastChild.remove();
    document.getElementById("feed-empty")?.remove();
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return begin();
    source?.close();
    source = null;
  });
  begin();
}

function span(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

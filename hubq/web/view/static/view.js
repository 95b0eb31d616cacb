// What every page does: times in the reader's zone, parts that stay alive, actions, the feed of a child, saved views.
import { watchActions } from "./actions.js";
import { watchFeed } from "./feed.js";
import { Live } from "./live.js";
import { keepSaved } from "./saved.js";
import { showTimes } from "./times.js";

showTimes(document);
const live = new Live();
watchActions(() => live.refreshAll());
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone it may be behind the edge
document.documentElement.dataset.ready = ""; // from now on a form acts
watchFeed();
keepSaved();
live.start();

document.addEventListener("keydown", (press) => {
  const typing = press.target.closest("input, textarea, select, dialog");
  const field = document.querySelector("[data-key-slash]");
  if (press.key === "/" && !typing && field && !press.ctrlKey && !press.metaKey && !press.altKey) {
    press.preventDefault();
    field.focus();
  }
});

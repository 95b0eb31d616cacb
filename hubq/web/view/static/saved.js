// Views that the reader has saved: a name for the query of a listing. They stay in this browser.
const hub = document.documentElement.dataset.base;

export function keepSaved() {
  const place = document.querySelector("[data-saved]");
  if (!place) return;
  const key = `hubq:${hub}:${place.dataset.saved}`;
  const read = () => {
    try {
      const found = JSON.parse(localStorage.getItem(key) || "{}");
      return found && typeof found === "object" ? found : {};
    } catch {
      return {};
    }
  };
  const write = (views) => {
    try {
      localStorage.setItem(key, JSON.stringify(views));
    } catch {} // storage is switched off: nothing is saved
    show();
  };
  const show = () => {
    const list = place.querySelector(".list");
    list.replaceChildren();
    for (const [name, query] of Object.entries(read())) {
      const link = document.createElement("a");
      link.href = `?${query}`;
      link.textContent = name;
      const drop = document.createElement("button");
      drop.type = "button";
      drop.textContent = "×";
      drop.ariaLabel = `forget ${name}`;
      drop.addEventListener("click", () => {
        const views = read();
        delete views[name];
        write(views);
      });
      list.append(link, " ", drop, " ");
    }
  };
  place.hidden = false;
  place.querySelector(":scope > button").addEventListener("click", () => {
    const said = new URLSearchParams(location.search);
    for (const [name, value] of [...said]) if (!value || name === "after" || name === "part") said.delete(name);
    const name = [...said].map(([field, value]) => `${field} ${value}`).join(", ") || "all";
    write({ ...read(), [name]: said.toString() });
  });
  show();
}

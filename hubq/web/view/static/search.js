// A listing that takes several looks: each gives some rows, and says where the next one begins.
const rows = (part) => part.querySelector("tbody[data-rows]");

export function follow(part) { // the address of the next look; null: enough was found, or there is no more
  const on = part.querySelector("[data-further]");
  return on && (rows(part)?.children.length ?? 0) < Number(on.dataset.enough) ? on.dataset.further : null;
}

export function copied(place) {
  const made = document.createDocumentFragment();
  made.append(...place.cloneNode(true).childNodes);
  return made;
}

export function joined(whole, fresh) { // what both have found, and how far the fresh one has come
  const [found, more] = [rows(whole), rows(fresh)];
  if (!found) return fresh;
  if (more) {
    const known = new Map([...found.children].map((row) => [row.dataset.key, row]));
    for (const row of [...more.children]) {
      const same = known.get(row.dataset.key);
      if (same) same.replaceWith(row);
      else found.append(row);
    }
  }
  const [told, further] = ["[data-told]", "[data-further]"].map((mark) => whole.querySelector(mark));
  const [toldNow, furtherNow] = ["[data-told]", "[data-further]"].map((mark) => fresh.querySelector(mark));
  if (toldNow) told.replaceWith(toldNow);
  else told.querySelector("[data-looked]")?.remove();
  (toldNow ?? told).querySelector("[data-shown]").textContent = found.children.length;
  if (furtherNow) further.replaceWith(furtherNow);
  else further.remove();
  return whole;
}

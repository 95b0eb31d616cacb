// Makes a part of the page what the server says it is now, and leaves alone what is the same: the focus, what is open, what moves.
const keyOf = (node) => (node.nodeType === 1 ? node.dataset?.key || node.id || "" : "");

export function morph(live, fresh) {
  if (live.nodeType !== 1) {
    if (live.nodeValue !== fresh.nodeValue) live.nodeValue = fresh.nodeValue;
    return;
  }
  if (live.tagName === "TIME" && live.getAttribute("datetime") === fresh.getAttribute("datetime")) return;
  attributes(live, fresh);
  children(live, fresh);
}

function attributes(live, fresh) {
  if (live.classList.contains("dot") && live.dataset.node !== fresh.dataset.node) movedTo(live, fresh);
  for (const { name, value } of fresh.attributes) {
    if (name === "class" && live.dataset.moved) continue; // set anew when it has arrived
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  for (const { name } of [...live.attributes]) {
    const ours = name === "open" || name === "data-moved" || name === "data-shown" || (name === "title" && live.tagName === "TIME");
    if (!fresh.hasAttribute(name) && !ours) live.removeAttribute(name);
  }
}

function movedTo(dot, fresh) {
  dot.setAttribute("class", `${fresh.getAttribute("class")} moved`);
  dot.parentNode.append(dot); // above those that stand still
  clearTimeout(Number(dot.dataset.moved || 0));
  dot.dataset.moved = setTimeout(() => {
    delete dot.dataset.moved;
    dot.classList.remove("moved");
  }, 2500);
}

export function children(live, fresh) {
  const known = new Map();
  for (const each of live.childNodes) if (keyOf(each)) known.set(keyOf(each), each);
  const wanted = [...fresh.childNodes];
  const kept = new Set();
  const drawn = live.tagName?.toLowerCase() === "svg"; // its order is who is above whom: it is not put right
  let place = live.firstChild;
  for (const next of wanted) {
    const key = keyOf(next);
    const same = key ? known.get(key) : alike(place, next, kept) ? place : null;
    if (same && same.nodeName === next.nodeName) {
      if (same === place) place = place.nextSibling;
      else if (!drawn) live.insertBefore(same, place);
      morph(same, next);
      kept.add(same);
    } else {
      kept.add(live.insertBefore(next.cloneNode(true), place));
    }
  }
  for (const each of [...live.childNodes]) if (!kept.has(each)) each.remove();
}

const alike = (place, next, kept) =>
  place && !kept.has(place) && !keyOf(place) && place.nodeType === next.nodeType && place.nodeName === next.nodeName;

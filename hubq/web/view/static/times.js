// Times in the zone and the manner of the reader.
const today = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const before = { month: "short", day: "numeric", ...today };

export function shown(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const sameDay = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(undefined, sameDay ? today : before);
}

export function showTimes(within) {
  for (const each of within.querySelectorAll("time[datetime]:not([data-shown])")) {
    each.textContent = shown(each.dateTime);
    each.title = new Date(each.dateTime).toString();
    each.dataset.shown = "";
  }
}

// Forms that act: what is in them goes to the API as JSON, and what came of it is said.
const base = document.documentElement.dataset.base;
const token = document.querySelector("meta[name=hubq-csrf]").content;

export function watchActions(done) {
  document.addEventListener("submit", async (submit) => {
    const form = submit.target;
    if (!form.dataset.act) return;
    submit.preventDefault();
    const button = submit.submitter;
    const path = button?.value === "alt" ? form.dataset.alt : form.dataset.act;
    let body;
    try {
      body = read(form);
    } catch (error) {
      return say(form, error.message, true);
    }
    if (form.dataset.confirm && !(await confirmed(form.dataset.confirm))) return;
    if (button) button.disabled = true;
    say(form, "…", false);
    try {
      const answer = await fetch(`${base}/api${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-HubQ-CSRF": token },
        body: JSON.stringify(body),
      });
      const found = await answer.json();
      say(form, answer.ok ? told(found, path) : found.detail, !answer.ok);
    } catch (error) {
      say(form, `the view does not answer (${error.message})`, true);
    } finally {
      if (button) button.disabled = false;
      done();
    }
  });
}

function read(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.dataset.json !== undefined) body[field.name] = parsed(field);
    else if (field.dataset.list !== undefined) body[field.name] = [field.value];
    else if (field.dataset.null !== undefined) body[field.name] = field.value || null;
    else body[field.name] = field.value;
  }
  return body;
}

function parsed(field) {
  try {
    return JSON.parse(field.value.trim() || field.dataset.json);
  } catch {
    field.focus();
    throw new Error(`${field.name} is no JSON: give for example ${field.placeholder}`);
  }
}

function told(found, path) {
  if (Array.isArray(found.done)) {
    const what = path.endsWith("replay") ? "sent again" : "dropped";
    const stay = Object.entries(found.stay).map(([letter, why]) => `\n${letter} stays: ${why}`);
    return `${found.done.length} ${what}${stay.length ? `, ${stay.length} stay` : ""}${found.more ? "; there are more that fit" : ""}${stay.slice(0, 5).join("")}`;
  }
  return found.result === null ? found.said : `${found.said}\n${JSON.stringify(found.result, null, 2)}`;
}

function say(form, text, bad) {
  const place = form.querySelector("output") || document.getElementById("said");
  place.textContent = text;
  place.classList.toggle("bad", bad);
  if (place.id === "said") {
    clearTimeout(say.timer);
    say.timer = setTimeout(() => (place.textContent = ""), bad ? 20000 : 6000);
  }
}

function confirmed(what) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-what").textContent = what;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

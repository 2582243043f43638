// The page where people sign in, set up the first owner, accept an invitation, or sign out.
const { root, mode, next, csrf } = document.querySelector("main").dataset;
const at = (id) => document.getElementById(id);
const WORDS = {
  unauthenticated: "Name or password is wrong.",
  https_needed: "Passwords are not sent over plain http. Open this page by its https address.",
};
const kept = new URLSearchParams(location.hash.slice(1)).get("invitation");
const invitation = mode === "sign-in" && /^ci_[0-9a-f]{32}_[\w-]{43}$/.test(kept ?? "") ? kept : "";

async function ask(path, method, body) {
  const headers = { "content-type": "application/json", ...(csrf ? { "x-csrf-token": csrf } : {}) };
  let answer;
  try {
    answer = await fetch(root + path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw { code: "offline", detail: "The studio does not answer. Look at your connection, then try again." };
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw { code: `status ${answer.status}`, detail: "The studio could not do this.", ...said };
}

function complain(problem) {
  const left = [];
  for (const { path, message } of problem.problems ?? []) {
    const field = at(path.split(".").pop());
    if (field) wrong(field, `This ${message}.`);
    else left.push(message);
  }
  const marked = (problem.problems ?? []).length > left.length;
  const text = marked ? left.join(" ") : WORDS[problem.code] ?? problem.detail;
  const code = document.createElement("code");
  code.textContent = problem.code;
  at("problem").replaceChildren(text, code);
  at("problem").hidden = !text;
  const first = document.querySelector("[aria-invalid=true]");
  if (first) first.focus();
  else at("problem").focus();
}

function wrong(field, text) {
  at(`${field.id}-wrong`).textContent = text;
  field.setAttribute("aria-invalid", Boolean(text));
}

function onward() {
  const to = new URL(root + next, location.href);
  location.assign(to.origin === location.origin ? to : `${root}/`);
}

async function enter(event) {
  event.preventDefault();
  at("problem").hidden = true;
  const fields = [at("name"), at("password")];
  for (const field of fields) wrong(field, field.value ? "" : "This is needed.");
  const empty = fields.find((field) => !field.value);
  if (empty) return empty.focus();
  const [name, password] = fields.map((field) => field.value);
  const who = { name, password, ...(at("keep") ? { keepGuest: at("keep").checked } : {}) };
  const [path, body] = invitation
    ? ["/api/v1/invitations/accept", { token: invitation, ...who }]
    : [mode === "set-up" ? "/api/v1/setup" : "/api/v1/session", who];
  at("go").disabled = true;
  try {
    await ask(path, "POST", body);
    onward();
  } catch (problem) {
    at("go").disabled = false;
    complain(problem);
  }
}

if (at("form")) {
  at("form").onsubmit = enter;
  at("show").onclick = () => {
    const hidden = at("password").type === "password";
    at("password").type = hidden ? "text" : "password";
    at("show").textContent = hidden ? "Hide" : "Show";
    at("show").setAttribute("aria-pressed", hidden);
  };
  at("name").focus();
}
if (invitation) {
  document.title = "Accept an invitation · Cauldron";
  at("title").textContent = "You are invited";
  const more = at("keep") ? " What you made here as a guest comes along." : "";
  at("lead").textContent = `Choose the name and the password that you will sign in with.${more}`;
  document.querySelector("label[for=password]").textContent = "A password of at least 12 characters";
  at("password").autocomplete = "new-password";
  at("go").textContent = "Join this studio";
  at("lost").hidden = true;
}
if (at("leave")) {
  at("leave").onclick = () => ask("/api/v1/session", "DELETE").then(() => location.reload(), complain);
}

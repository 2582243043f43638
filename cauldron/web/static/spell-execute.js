// The page of a spell: a form from its inputs, a price, the run as it happens, the results.
const main = document.querySelector("main");
let { slug, root, csrf, may } = main.dataset;
const at = (id) => document.getElementById(id);
const kept = `spell:${slug}`;
let meta, quote, fields = [], stream;

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

async function ask(path, body, headers = {}) {
  if (csrf) headers["x-csrf-token"] = csrf;
  const form = body instanceof FormData;
  if (body && !form) headers["content-type"] = "application/json";
  const init = body ? { method: "POST", headers, body: form ? body : JSON.stringify(body) } : { headers };
  let answer;
  try {
    answer = await fetch(root + path, init);
  } catch {
    throw { code: "offline", detail: "The studio does not answer. Look at your connection, then try again." };
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw { code: `status ${answer.status}`, detail: "The studio could not do this.", ...said };
}

// The form

const words = (name) => (name[0].toUpperCase() + name.slice(1)).replace(/[_-]+|(?<=[a-z])(?=[A-Z])/g, " ");
const isMedia = (schema) => Boolean(schema.properties?.media);
const mediaPath = (ref, edge) =>
  `${root}/api/v1/media/${ref.media.slice(7)}${edge ? `/thumbnail?edge=${edge}` : ""}`;
const isPicture = (ref) => /^image\/(a?png|jpeg|webp|gif)/.test(ref.mime);

function field(name, whole, required, value) {
  const schema = { ...(whole.anyOf?.[0] ?? {}), ...whole };
  const id = `in-${name}`;
  const wrong = el("span", { className: "wrong", id: `${id}-wrong` });
  const help = el("small", { id: `${id}-help`, textContent: schema.description ?? "", dir: "auto" });
  const made = control(schema, { id, name, "aria-describedby": `${help.id} ${wrong.id}` }, value, required);
  const text = [words(name), required ? "" : el("span", { className: "need", textContent: " (optional)" })];
  const label = made.group
    ? el("legend", {}, ...text)
    : el("label", { htmlFor: id }, ...text);
  const node = el(made.group ? "fieldset" : "div", { className: "field" }, label, made.node, help, wrong);
  const tell = (message) => {
    wrong.textContent = message;
    for (const input of node.querySelectorAll("input,select,textarea")) {
      input.setAttribute("aria-invalid", Boolean(message));
    }
  };
  made.tell = tell;
  const read = () => {
    tell("");
    let found;
    try {
      found = made.read();
    } catch (bad) {
      tell(bad.message);
      return { bad: true };
    }
    if (found === undefined && required) tell("This is needed.");
    return { found, bad: found === undefined && required };
  };
  return { name, node, read, tell, drop: made.drop, focus: () => node.querySelector("input,select,textarea,button").focus() };
}

function control(schema, props, value, required) {
  if (isMedia(schema)) return picture(props, value);
  if (schema.enum) {
    const node = el("select", props, ...schema.enum.map((each) => el("option", { value: each, textContent: each })));
    if (!required && value === undefined) node.prepend(el("option", { value: "", textContent: "–" }));
    node.value = value ?? node.options[0]?.value;
    return { node, read: () => node.value || undefined };
  }
  if (schema.type === "boolean") {
    const box = el("input", { ...props, type: "checkbox", checked: Boolean(value) });
    return { node: el("div", { className: "tick" }, box), read: () => box.checked };
  }
  if (schema.type === "integer" || schema.type === "number") return number(schema, props, value);
  if (isColor(schema)) return color(props, value);
  if (schema.type === "array" && isColor(schema.items ?? {})) return colors(schema, props, value);
  if (schema.type === "string") {
    const long = (schema.maxLength ?? 0) > 120;
    const node = el(long ? "textarea" : "input", { ...props, dir: "auto", value: value ?? "" });
    if (schema.maxLength) node.maxLength = schema.maxLength;
    return { node, read: () => node.value || undefined };
  }
  const node = el("textarea", { ...props, value: value === undefined ? "" : JSON.stringify(value), spellcheck: false });
  const read = () => {
    try {
      return node.value.trim() ? JSON.parse(node.value) : undefined;
    } catch {
      throw Error("This must be JSON, such as [1, 2] or {\"a\": true}.");
    }
  };
  return { node, read };
}

function number(schema, props, value) {
  const whole = schema.type === "integer", { minimum, maximum } = schema;
  const box = el("input", { ...props, type: "number", value: value ?? "", step: whole ? 1 : "any" });
  if (minimum !== undefined) box.min = minimum;
  if (maximum !== undefined) box.max = maximum;
  const row = el("div", { className: "pair" }, box);
  if (whole && /seed$/i.test(props.name)) {
    const roll = el("button", { type: "button", textContent: "Roll", ariaLabel: "Roll another seed" });
    const low = minimum ?? 0, span = Math.min(maximum ?? 2 ** 31 - 1, low + 2 ** 31 - 1) - low + 1;
    roll.onclick = () => { box.value = low + (crypto.getRandomValues(new Uint32Array(1))[0] % span); };
    row.append(roll);
  } else if (minimum !== undefined && maximum !== undefined) {
    const step = whole ? 1 : (maximum - minimum) / 100;
    const slider = el("input", { type: "range", min: minimum, max: maximum, step, ariaLabel: `${words(props.name)}, slider` });
    slider.value = value ?? minimum;
    slider.oninput = () => { box.value = whole ? slider.value : Number((+slider.value).toFixed(4)); };
    box.oninput = () => { slider.value = box.value; };
    row.prepend(slider);
  }
  const read = () => {
    if (box.validity.badInput) throw Error("This must be a number.");
    if (box.value === "") return undefined;
    const found = Number(box.value);
    if (whole && !Number.isInteger(found)) throw Error("This must be a whole number.");
    if (found < minimum) throw Error(`At least ${minimum}.`);
    if (found > maximum) throw Error(`At most ${maximum}.`);
    return found;
  };
  return { node: row, read };
}

const isColor = (schema) => schema.type === "string" && schema.pattern?.startsWith("^#");
const swatch = (props, value) => el("input", { ...props, type: "color", value: (value ?? "#7a6da3").slice(0, 7) });

function color(props, value) {
  const node = swatch(props, value);
  return { node: el("div", {}, node), read: () => node.value };
}

function colors(schema, props, value) {
  const list = el("div", { className: "swatches" });
  const count = () => list.children.length;
  const add = (each) => list.append(swatch({ ariaLabel: `${words(props.name)} ${count() + 1}` }, each));
  const start = ["#1b2357", "#6f8fbd", "#f4a259", "#ffdf8f"];
  for (const each of value ?? start.slice(0, Math.max(schema.minItems, Math.min(4, schema.maxItems)))) add(each);
  while (count() < schema.minItems) add();
  const more = el("button", { type: "button", textContent: "Add a colour" });
  const fewer = el("button", { type: "button", textContent: "Remove the last" });
  const settle = () => {
    more.disabled = count() >= schema.maxItems;
    fewer.disabled = count() <= schema.minItems;
  };
  more.onclick = () => { add(); settle(); };
  fewer.onclick = () => { list.lastChild.remove(); settle(); };
  settle();
  const node = el("div", { className: "field" }, list, el("div", { className: "swatches" }, more, fewer));
  return { node, group: true, read: () => [...list.children].map((each) => each.value) };
}

const MOST_BYTES = 64 * 2 ** 20; // as the studio takes them

function picture(props, value) {
  let ref = value, busy;
  const shown = el("img", { alt: "", hidden: true });
  const empty = "Choose, drop or paste a picture.";
  const file = el("input", { ...props, type: "file", accept: "image/png,image/jpeg,image/webp,image/gif" });
  const said = el("span", { className: "quiet", role: "status", textContent: empty });
  const box = el("div", { className: "drop" }, shown, el("div", {}, file, said));
  const show = () => {
    shown.hidden = !ref;
    if (!ref) return;
    shown.src = mediaPath(ref, 128);
    said.textContent = ref.width ? `Ready: ${ref.width} × ${ref.height} pixels.` : "Ready.";
  };
  const fail = (why) => {
    busy = ref = undefined;
    show();
    said.textContent = empty;
    made.tell(why);
  };
  const take = async (chosen) => {
    if (!chosen) return;
    made.tell("");
    if (chosen.size > MOST_BYTES) return fail(`This has ${(chosen.size / 2 ** 20).toFixed()} MB; a picture may have ${MOST_BYTES / 2 ** 20}.`);
    const body = new FormData();
    body.append("file", chosen);
    said.textContent = "Uploading…";
    const mine = (busy = ask("/api/v1/uploads", body));
    const { items, problems, detail } = await mine.catch((problem) => problem);
    if (busy !== mine) return; // another one was chosen meanwhile
    if (!items) return fail(problems ? `This ${problems[0].message}.` : detail);
    busy = undefined;
    ref = items[0].ref;
    show();
  };
  file.onchange = () => take(file.files[0]);
  box.ondragover = (event) => { event.preventDefault(); box.classList.add("over"); };
  box.ondragleave = () => box.classList.remove("over");
  box.ondrop = (event) => {
    event.preventDefault();
    box.classList.remove("over");
    take(event.dataTransfer.files[0]);
  };
  show();
  const read = () => {
    if (busy) throw Error("The picture is still on its way.");
    return ref;
  };
  const made = { node: box, read, drop: { box, take, isEmpty: () => !ref && !busy } };
  return made;
}

document.addEventListener("paste", (event) => {
  const file = event.clipboardData.files[0];
  const drops = fields.map((each) => each.drop).filter(Boolean);
  const target = drops.find((drop) => drop.box.contains(document.activeElement)) ?? drops.find((drop) => drop.isEmpty());
  if (file && target) {
    event.preventDefault();
    target.take(file);
  }
});

function build(schema, values) {
  const required = new Set(schema.required ?? []);
  fields = Object.entries(schema.properties).map(([name, each]) =>
    field(name, each, required.has(name), values[name] ?? each.default));
  const first = fields.filter((each) => required.has(each.name) || fields.length < 6);
  const rest = fields.filter((each) => !first.includes(each));
  const fold = el("details", { className: "fold" },
    el("summary", { textContent: `More settings (${rest.length})` }),
    el("div", {}, ...rest.map((each) => each.node)));
  at("fields").replaceChildren(...first.map((each) => each.node), ...(rest.length ? [fold] : []));
  at("fields").removeAttribute("aria-busy");
}

function filled() {
  const context = {};
  let worst;
  for (const each of fields) {
    const { found, bad } = each.read();
    if (bad) worst ??= each;
    else if (found !== undefined) context[each.name] = found;
  }
  if (worst) reveal(worst);
  return worst ? undefined : context;
}

function reveal(each) {
  const fold = each.node.closest("details");
  if (fold) fold.open = true;
  each.focus();
}

// The price, and the cast

const pts = (value) => `${value.toLocaleString("en", { maximumFractionDigits: 3 })} ${value === 1 ? "pt" : "pts"}`;

function ready() {
  const most = quote?.capPts;
  at("cast").disabled = !may || stream !== undefined;
  at("cast").textContent = stream ? "Running…" : quote ? most ? `Cast for up to ${pts(most)}` : "Cast, free of charge" : "Cast";
  if (!quote) return;
  const usual = quote.costPts < most ? `about ${pts(quote.costPts)}, ` : "";
  at("price").textContent = most ? `${usual}up to ${pts(most)}` : "free";
}

// To look at, the invoice that is open already will do; to pay, one of this very page: another window,
// or somebody else on the same account, may cast on the open one with other words meanwhile.
async function price(own) {
  const headers = own ? { "idempotency-key": `${Date.now()}-${Math.random()}` } : {};
  quote = await ask("/api/v1/payments/invoice", { spellSlug: slug, asset: "points" }, headers);
  quote.own = own;
  ready();
}

function complain(problem) {
  const box = at("problem");
  const listed = (problem.problems ?? []).map(({ path, message }) => {
    const known = fields.find((each) => path.replace(/\[.*/, "").split(".").includes(each.name));
    known?.tell(`This ${message}.`);
    return { known, message };
  });
  const strange = listed.filter((each) => !each.known).map((each) => each.message);
  const missing = problem.details?.missingPts;
  const text = missing ? `You need ${pts(missing)} more. Nothing was charged: add points, then cast again. `
    : listed.length > strange.length ? "Some of what you filled in does not fit; it is marked above." : problem.detail;
  const more = missing ? [el("a", { href: `${root}/points`, textContent: "Add points" })] : [];
  box.replaceChildren(text, ...more, ...strange.map((each) => el("div", { textContent: each })), el("code", { textContent: problem.code ?? "" }));
  box.hidden = false;
  const first = listed.find((each) => each.known);
  if (first) reveal(first.known);
  else box.focus();
}

async function cast(event) {
  event.preventDefault();
  at("problem").hidden = true;
  const context = filled();
  if (!context || at("cast").disabled) return;
  at("cast").disabled = true;
  sessionStorage.setItem(kept, JSON.stringify(context));
  try {
    const before = quote?.capPts;
    if (!quote?.own || Date.parse(quote.expiry) - Date.now() < 5000) await price(true);
    at("cast").disabled = true;
    if (quote.capPts > (before ?? 0)) {
      at("hint").textContent = `The price is up to ${pts(quote.capPts)} now. Press again to pay it.`;
      return;
    }
    const { creditTxId } = await ask("/api/v1/spells/cast", { slug, invoiceId: quote.invoiceId, context });
    history.replaceState(null, "", `#run=${creditTxId}`);
    quote = undefined;
    at("hint").textContent = "";
    follow(creditTxId);
    at("run").tabIndex = -1;
    at("run").focus();
  } catch (problem) {
    if (/invoice|token|offer/.test(problem.code ?? "")) quote = undefined;
    complain(problem);
  } finally {
    ready();
  }
}

async function beGuest() {
  ({ csrfToken: csrf } = await ask("/api/v1/session/guest", {}));
  may = "yes";
  at("choice").hidden = true;
  ready();
  fields[0]?.focus();
  await price();
}

// The run

const NAMES = { queued: "Queued", running: "Running", completed: "Done", failed: "Failed", cancelled: "Cancelled" };
let steps = new Map(), castId;

function state(name, said) {
  at("state").dataset.state = name;
  at("state").textContent = NAMES[name];
  at("said").textContent = said;
  at("cancel").hidden = name !== "running";
}

function follow(creditTxId) {
  stream?.close();
  castId = undefined;
  steps = new Map(meta.steps.map(({ id, label, needs }) => {
    const [shown, note, node] = [el("span", { textContent: label, dir: "auto" }), el("small"), el("li")];
    node.append(shown, note);
    return [id, { label, needs, node, note }];
  }));
  at("steps").replaceChildren(...[...steps.values()].map((each) => each.node));
  at("bar").value = 0;
  at("run").hidden = false;
  at("results").hidden = true;
  state("queued", "Waiting for its turn.");
  stream = new EventSource(`${root}/api/v1/spells/${slug}/stream?creditTxId=${encodeURIComponent(creditTxId)}`);
  const on = (name, heard) => stream.addEventListener(name, (event) => heard(JSON.parse(event.data).payload));
  const whole = (payload) => { castId = payload.castId; return catchUp(payload.status); };
  on("snapshot", whole);
  on("reset", whole);
  on("executionStarted", (payload) => { castId = payload.castId; begin(); });
  on("generationUpdate", (payload) => ended(payload));
  on("stepUpdate", (payload) => ended(payload));
  on("executionFinished", (payload) => finish(payload));
  stream.onopen = () => { if (at("said").textContent.startsWith("Connection")) begin(); };
  stream.onerror = () => {
    if (stream?.readyState !== EventSource.CLOSED) {
      at("said").textContent = "Connection lost; trying again.";
      return;
    }
    stop();
    at("run").hidden = true;
    history.replaceState(null, "", location.pathname);
    complain({ code: "run_not_open", detail: "This run cannot be followed here: it is another account's, or you are signed out." });
  };
}

async function catchUp(status) {
  begin();
  const cast = await ask(`/api/v1/casts/${castId}`).catch(() => ({ ...status, steps: [] }));
  for (const step of cast.steps) ended(step);
  if (NAMES[cast.status] && cast.status !== "running") finish(cast);
}

function begin() {
  if (!stream) return;
  for (const each of steps.values()) {
    const open = !each.state && each.needs.every((id) => steps.get(id)?.state === "success");
    if (open) each.node.dataset.state = "running";
  }
  const done = [...steps.values()].filter((each) => each.state === "success").length;
  at("bar").max = steps.size;
  at("bar").value = Math.max(at("bar").value, done);
  const now = [...steps.values()].filter((each) => each.node.dataset.state === "running").map((each) => each.label);
  state("running", `${done} of ${steps.size} steps done${now.length ? `. Now: ${now.join(", ")}` : ""}.`);
}

function ended({ step, generationId, status, durationMs, outputs, cached }) {
  const each = steps.get(step) ?? [...steps.values()].find((known) => known.generationId === generationId);
  if (!each) return;
  each.generationId ??= generationId;
  each.state = each.node.dataset.state = status === "success" ? "success" : "failed";
  if (durationMs !== undefined) each.note.textContent = cached ? "reused" : durationMs < 1000 ? `${durationMs} ms` : `${(durationMs / 1000).toFixed(1)} s`;
  const ref = Object.values(outputs ?? {}).flat().find((value) => value?.media && isPicture(value));
  if (ref && !each.node.querySelector("img")) {
    each.node.append(el("img", { src: mediaPath(ref, 128), alt: `What “${each.label}” made` }));
  }
  begin();
}

function stop() {
  stream?.close();
  stream = undefined;
  ready();
}

async function finish({ status, outputs, error, pointsSpent }) {
  if (!stream) return;
  stop();
  for (const each of steps.values()) if (each.node.dataset.state === "running") delete each.node.dataset.state;
  if (outputs?.omitted) ({ outputs } = await ask(`/api/v1/casts/${castId}`));
  if (status === "completed") {
    at("bar").value = at("bar").max;
    state("completed", `Finished${pointsSpent ? ` for ${pts(pointsSpent)}` : ""}. The results are below.`);
    gallery(outputs);
    at("results").scrollIntoView({ block: "nearest" });
  } else {
    const broken = steps.get(error?.step)?.label;
    const why = (error?.message ?? "something broke").replace(`${broken}: `, "").replace(/\.$/, "");
    state(status, status === "cancelled" ? "Cancelled. Nothing was charged."
      : `${broken ? `“${broken}” did not work` : "It did not work"}: ${why}. Nothing was charged.`);
  }
  if (may) price().catch(() => {});
}

function gallery(outputs) {
  const made = Object.entries(outputs ?? {}).flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
  at("gallery").replaceChildren(...made.map(([name, value], index) => figure(name, value, index)));
  at("results").hidden = false;
}

function figure(name, value, index) {
  if (!value?.media) {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return el("figure", {}, el("pre", { textContent: text, tabIndex: 0, dir: "auto" }));
  }
  const path = mediaPath(value), kind = value.mime.split("/")[0];
  const said = el("span", { className: "quiet", role: "status" });
  const shown = kind === "image" && isPicture(value)
    ? el("img", { src: path, alt: `Result ${index + 1}: ${meta.title}`, width: value.width ?? 0, height: value.height ?? 0 })
    : kind === "video" || kind === "audio" ? el(kind, { src: path, controls: true }) : el("p", { textContent: name });
  const end = { jpeg: "jpg", "svg+xml": "svg" }[value.mime.split("/")[1]] ?? value.mime.split("/")[1];
  const file = `${slug}-${value.media.slice(7, 15)}.${end}`;
  const share = el("button", { type: "button", textContent: "Share" });
  share.onclick = async () => {
    const url = meta.openGraph.url;
    try {
      const blob = await (await fetch(path)).blob();
      const shared = { title: meta.title, url, files: [new File([blob], file, { type: blob.type })] };
      if (navigator.canShare?.(shared)) return await navigator.share(shared);
      await navigator.clipboard.writeText(url);
      said.textContent = "The address of this spell is copied.";
    } catch (failure) {
      if (failure.name !== "AbortError") said.textContent = `Copy this address: ${url}`;
    }
  };
  const load = el("a", { className: "button", href: path, download: file, textContent: "Download" });
  return el("figure", {}, shown, el("figcaption", {}, load, share, said));
}

// The start

at("form").onsubmit = cast;
if (at("guest")) at("guest").onclick = () => beGuest().catch(complain);
at("cancel").onclick = () => ask(`/api/v1/casts/${castId}/cancel`, {}).catch(complain);
try {
  meta = await ask(`/api/v1/spells/${slug}/meta`);
  build(meta.inputsSchema, JSON.parse(sessionStorage.getItem(kept) ?? "{}"));
  const run = new URLSearchParams(location.hash.slice(1)).get("run");
  if (run && may) follow(run);
  ready();
  if (may) await price();
} catch (problem) {
  complain(problem);
}

// Buying points: opens the checkout of whoever takes the money.
const { root, csrf } = document.querySelector("main").dataset;
const at = (id) => document.getElementById(id);

function complain(text, code) {
  const small = document.createElement("code");
  small.textContent = code;
  at("problem").replaceChildren(text, small);
  at("problem").hidden = false;
  at("problem").focus();
}

async function buy(event) {
  event.preventDefault();
  at("problem").hidden = true;
  const points = Number(at("amount").value);
  const fits = points > 0 && Number.isFinite(points);
  at("amount").setAttribute("aria-invalid", !fits);
  if (!fits) return complain("Say how many points, such as 500.", "invalid");
  at("go").disabled = true;
  try {
    const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
    if (csrf) headers["x-csrf-token"] = csrf;
    const body = JSON.stringify({ points });
    const answer = await fetch(`${root}/api/v1/payments/checkout`, { method: "POST", headers, body });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok && /^https?:/.test(said.checkoutUrl)) return location.assign(said.checkoutUrl);
    complain(said.problems?.[0]?.message ?? said.detail ?? "The studio could not do this.", said.code ?? `status ${answer.status}`);
  } catch {
    complain("The studio does not answer. Look at your connection, then try again.", "offline");
  }
  at("go").disabled = false;
}

at("buy").addEventListener("submit", buy);
addEventListener("pageshow", () => (at("go").disabled = false));

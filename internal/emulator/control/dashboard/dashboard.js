// Shows what the emulator holds. It asks once a second: the emulator is on the
// same machine, and a poll needs no state on either side.

const $ = (id) => document.getElementById(id);
const keep = 2000; // lines of the journal that the page holds

// The token comes in the address and leaves it immediately, so that it is not on
// screen; the session remembers it for a reload.
const address = new URL(location.href);
const given = new URLSearchParams(address.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", address.pathname);
}
const headers = { Authorization: `Bearer ${sessionStorage.getItem("token") ?? ""}` };

let next = 0;
let instance = "";
let hubs = [];
let shown = "";

async function call(path, options = {}) {
  const response = await fetch(`../_emulator/v1${path}`, { headers, ...options });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

async function poll() {
  try {
    const journal = await call(`/journal?limit=1000&after=${next}`);
    if (journal.instance !== instance) {
      // The emulator is another one than before.
      const first = instance === "";
      instance = journal.instance;
      next = 0;
      if (!first) {
        setTimeout(poll);
        return;
      }
    }
    next = journal.value.at(-1)?.id ?? next;
    addEntries(journal.value);
    hubs = (await call("/hubs?limit=100")).value;
    showHubs();
    await showHub();
    delete $("summary").dataset.lost;
  } catch (err) {
    $("summary").textContent = err instanceof TypeError ? "The emulator does not answer." : err.message;
    $("summary").dataset.lost = "";
  }
  setTimeout(poll, 1000);
}

function showHubs() {
  const total = hubs.reduce((n, h) => n + h.connections, 0);
  $("summary").textContent = `${plural(total, "connection")} in ${plural(hubs.length, "hub")}`;
  const select = $("hub");
  const names = hubs.map((h) => h.name);
  if ([...select.options].map((o) => o.value).join("\n") !== names.join("\n")) {
    const chosen = select.value;
    select.replaceChildren(...names.map((n) => new Option(n, n)));
    if (names.includes(chosen)) select.value = chosen;
  }
}

async function showHub() {
  const hub = hubs.find((h) => h.name === $("hub").value);
  const connections = hub ? (await call(`/connections?limit=500&hub=${encodeURIComponent(hub.name)}`)).value : [];
  const text = JSON.stringify([hub ?? null, connections]);
  if (text === shown) return; // nothing moves under the pointer for no reason
  shown = text;
  $("nobody").hidden = connections.length > 0;
  $("connections").replaceChildren(...connections.map(row));
  if (hub && hub.connections > connections.length) {
    $("connections").append(element("tr", {}, element("td", { colSpan: 6, className: "muted" }, `and ${hub.connections - connections.length} more`)));
  }
  const groups = [...new Set(connections.flatMap((c) => c.groups))].sort();
  $("groups").replaceChildren(...groups.map((g) => new Option(g, g)));
}

function row(c) {
  const state = c.state === "interrupted" ? "lost, may come back" : c.unacked ? `${c.unacked} not acknowledged` : "open";
  const more = c.groupCount - c.groups.length;
  return element("tr", {},
    element("td", {}, c.userId || element("span", { className: "muted" }, "anonymous")),
    element("td", { className: "id" }, c.id),
    element("td", {}, c.protocol),
    element("td", {}, ...c.groups.map((g) => element("span", { className: "chip" }, g)), ...(more ? [element("span", { className: "muted" }, `and ${more} more`)] : [])),
    element("td", { className: c.state === "interrupted" ? "detached" : "" }, state),
    element("td", { className: "actions" }, action(c, "reset", "Reset the network connection, as a lost one would be"), action(c, "close", "Close as the application server does")));
}

function action(c, name, title) {
  const b = element("button", { type: "button", title, ariaLabel: `${name} ${c.userId || c.id}` }, name);
  b.onclick = () => perform(`/hubs/${encodeURIComponent(c.hub)}/connections/${encodeURIComponent(c.id)}/${name}`);
  return b;
}

async function perform(path, body) {
  try {
    await call(path, { method: "POST", body: body && JSON.stringify(body) });
  } catch (err) {
    addEntries([{ time: new Date().toISOString(), text: err.message, warning: true }]);
  }
}

$("send").onsubmit = async (e) => {
  e.preventDefault();
  const group = $("group").value;
  await perform(`/hubs/${encodeURIComponent($("hub").value)}${group && `/groups/${encodeURIComponent(group)}`}/send`, { data: $("text").value });
  $("text").value = "";
};

function addEntries(entries) {
  const list = $("journal");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const e of entries) {
    const li = element("li", { className: e.warning ? "problem" : "" },
      element("time", { dateTime: e.time }, new Date(e.time).toLocaleTimeString([], { hour12: false })), e.text);
    li.hidden = !wanted(li);
    list.append(li);
  }
  while (list.children.length > keep) list.firstElementChild.remove();
  if (atEnd && entries.length) list.scrollTop = list.scrollHeight;
}

function wanted(li) {
  if ($("warnings").checked && !li.classList.contains("problem")) return false;
  return li.textContent.toLowerCase().includes($("filter").value.toLowerCase());
}

function refilter() {
  for (const li of $("journal").children) li.hidden = !wanted(li);
}

function element(name, properties, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}

function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

$("hub").onchange = showHub;
$("filter").oninput = refilter;
$("warnings").onchange = refilter;
$("clear").onclick = () => $("journal").replaceChildren();
poll();

// Shows what the emulator holds. It asks once a second: the emulator is on the
// same machine, and a poll needs no state on either side.

const $ = (id) => document.getElementById(id);
const keep = 2000; // lines of the journal that the page holds

// The token comes in the address and leaves it at once, so that it is not on
// screen; the session remembers it for a reload.
const address = new URL(location.href);
if (address.searchParams.has("token")) {
  sessionStorage.setItem("token", address.searchParams.get("token"));
  history.replaceState(null, "", address.pathname);
}
const headers = { Authorization: `Bearer ${sessionStorage.getItem("token") ?? ""}` };

let next = 0;
let hubs = [];
let shown = "";

async function poll() {
  try {
    const response = await fetch(`state?after=${next}`, { headers });
    if (!response.ok) throw new Error((await response.text()) || response.statusText);
    const state = await response.json();
    if (state.Next < next) {
      // The emulator is another one than before.
      next = 0;
      setTimeout(poll);
      return;
    }
    next = state.Next;
    hubs = state.Hubs ?? [];
    addEntries(state.Entries ?? []);
    showHubs();
    delete $("summary").dataset.lost;
  } catch (err) {
    $("summary").textContent = err instanceof TypeError ? "The emulator does not answer." : err.message;
    $("summary").dataset.lost = "";
  }
  setTimeout(poll, 1000);
}

function showHubs() {
  const total = hubs.reduce((n, h) => n + h.Total, 0);
  $("summary").textContent = `${plural(total, "connection")} in ${plural(hubs.length, "hub")}`;
  const select = $("hub");
  const names = hubs.map((h) => h.Name);
  if ([...select.options].map((o) => o.value).join("\n") !== names.join("\n")) {
    const chosen = select.value;
    select.replaceChildren(...names.map((n) => new Option(n, n)));
    if (names.includes(chosen)) select.value = chosen;
  }
  showHub();
}

function showHub() {
  const hub = hubs.find((h) => h.Name === $("hub").value);
  const text = JSON.stringify(hub ?? null);
  if (text === shown) return; // nothing moves under the pointer for no reason
  shown = text;
  const connections = hub?.Connections ?? [];
  $("nobody").hidden = connections.length > 0;
  $("connections").replaceChildren(...connections.map(row));
  if (hub && hub.Total > connections.length) {
    $("connections").append(element("tr", {}, element("td", { colSpan: 6, className: "muted" }, `and ${hub.Total - connections.length} more`)));
  }
  const groups = [...new Set(connections.flatMap((c) => c.Groups ?? []))].sort();
  $("groups").replaceChildren(...groups.map((g) => new Option(g, g)));
}

function row(c) {
  const state = c.Interrupted ? "lost, may come back" : c.Unacked ? `${c.Unacked} not acknowledged` : "open";
  return element("tr", {},
    element("td", {}, c.UserID || element("span", { className: "muted" }, "anonymous")),
    element("td", { className: "id" }, c.ID),
    element("td", {}, c.Subprotocol ? c.Subprotocol.replace(".webpubsub.azure.v1", "") : element("span", { className: "muted" }, "none")),
    element("td", {}, ...(c.Groups ?? []).map((g) => element("span", { className: "chip" }, g)), ...(c.MoreGroups ? [element("span", { className: "muted" }, `and ${c.MoreGroups} more`)] : [])),
    element("td", { className: c.Interrupted ? "detached" : "" }, state),
    element("td", { className: "actions" }, action(c, "cut", "Cut the network connection, as a lost one would be"), action(c, "close", "Close as the application server does")));
}

function action(c, name, title) {
  const b = element("button", { type: "button", title, ariaLabel: `${name} ${c.UserID || c.ID}` }, name);
  b.onclick = () => perform({ action: name, hub: $("hub").value, connection: c.ID });
  return b;
}

async function perform(what) {
  const response = await fetch("do", { method: "POST", headers, body: JSON.stringify(what) });
  if (!response.ok) addEntries([{ Time: new Date().toISOString(), Text: await response.text(), Warning: true }]);
}

$("send").onsubmit = async (e) => {
  e.preventDefault();
  await perform({ action: "send", hub: $("hub").value, group: $("group").value, text: $("text").value });
  $("text").value = "";
};

function addEntries(entries) {
  const list = $("journal");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  for (const e of entries) {
    const li = element("li", { className: e.Warning ? "problem" : "" },
      element("time", { dateTime: e.Time }, new Date(e.Time).toLocaleTimeString([], { hour12: false })), e.Text);
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

// Elements are made from text only: user ids, group names and payloads are
// chosen by clients.

/** h makes an element. Properties that begin with "on" are listeners. */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name in el && name !== 'list') el[name] = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

export const panel = (title, actions, ...content) =>
  h('section', { className: 'panel' }, h('header', {}, h('h2', {}, title), ...[actions].flat()), ...content);

export const empty = (text, ...more) => h('div', { className: 'empty' }, h('p', {}, text), ...more);

/** field labels an input. */
export const field = (label, input, className = '') => h('label', { className }, label, input);

export const check = (label, checked = false) => {
  const input = h('input', { type: 'checkbox', checked });
  return { input, label: h('label', { className: 'check' }, input, label) };
};

export const select = (values, value) => {
  const el = h('select', {}, values.map((v) => h('option', { value: v.value ?? v }, v.label ?? v)));
  if (value !== undefined) el.value = value;
  return el;
};

export function copyButton(text, label = 'Copy') {
  return h('button', {
    type: 'button',
    onclick: async () => {
      const value = typeof text === 'function' ? text() : text;
      try {
        await navigator.clipboard.writeText(value);
      } catch { // the clipboard needs https or localhost
        const area = h('textarea', { value });
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
      }
      toast('Copied.');
    },
  }, label);
}

export const copyable = (text, block = false) =>
  h('div', { className: 'copyable' }, h(block ? 'pre' : 'code', block ? { tabIndex: 0 } : {}, text), copyButton(text));

export function toast(text, error = false) {
  const box = h('div', { className: error ? 'toast error' : 'toast' }, text);
  document.getElementById('toasts').append(box);
  setTimeout(() => box.remove(), error ? 8000 : 2500);
}

/** attempt runs an action of a button and reports its failure. */
export const attempt = (action, done) => async (event) => {
  event?.preventDefault();
  const button = event?.submitter ?? event?.currentTarget;
  if (button instanceof HTMLButtonElement) button.disabled = true;
  try {
    const result = await action(event);
    if (done) toast(typeof done === 'function' ? done(result) : done);
  } catch (err) {
    toast(err.message, true);
  } finally {
    if (button instanceof HTMLButtonElement) button.disabled = false;
  }
};

export const clock = (t) => {
  const d = new Date(t);
  return d.toLocaleTimeString([], { hour12: false }) + '.' + String(d.getMilliseconds()).padStart(3, '0');
};

/** pretty formats JSON, and leaves everything else as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export const shellQuote = (s) => `'${String(s).replaceAll("'", `'\\''`)}'`;

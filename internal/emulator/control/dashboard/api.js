// The control API of the emulator: see docs/control-api.md.

const base = location.origin + '/_emulator/v1';

// The token comes in the fragment of the address that the emulator printed, which
// browsers do not send. It is kept for this tab, and not in the address bar.
const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given) {
  sessionStorage.setItem('control-token', given);
  history.replaceState(null, '', location.pathname + location.search);
}
export const token = () => sessionStorage.getItem('control-token') ?? '';

export class APIError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function failure(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch { /* no JSON */ }
  const text = response.status === 401
    ? 'The token is not that of this start. Open the address that the emulator printed.'
    : error.message ?? `The emulator responded with ${response.status}.`;
  return new APIError(response.status, error.code ?? '', text);
}

export async function call(method, path, body, signal) {
  const response = await fetch(path.startsWith('http') ? path : base + path, {
    method,
    signal,
    headers: { Authorization: 'Bearer ' + token(), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? undefined : response.json();
}

export const get = (path, query = {}) => {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) if (v !== '' && v !== undefined && v !== false) q.set(k, v);
  return call('GET', path + (q.size ? '?' + q : ''));
};
export const post = (path, body) => call('POST', path, body);
export const segment = encodeURIComponent;

export async function download(path, name) {
  const response = await fetch(base + path, { headers: { Authorization: 'Bearer ' + token() } });
  if (!response.ok) throw await failure(response);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** stream reads the journal as server-sent events until it breaks off. */
export async function stream(lastEventID, onEvent, signal) {
  const headers = { Authorization: 'Bearer ' + token(), Accept: 'text/event-stream' };
  if (lastEventID) headers['Last-Event-ID'] = lastEventID;
  const response = await fetch(base + '/journal', { headers, signal });
  if (!response.ok) throw await failure(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { type: 'message', id: '', data: '' };
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        if (colon <= 0) continue;
        const name = line.slice(0, colon);
        const text = line.slice(colon + 1).replace(/^ /, '');
        if (name === 'event') event.type = text;
        else if (name === 'id') event.id = text;
        else if (name === 'data') event.data += text;
      }
      if (event.data) onEvent(event.type, JSON.parse(event.data), event.id);
    }
  }
}

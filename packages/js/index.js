import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findBinary } from './binary.js';

/** ControlError is an error response of the control API. */
export class ControlError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = 'ControlError';
    this.status = status;
    this.code = code;
  }
}

const segment = encodeURIComponent;

/** Emulator is a client of the control API of a running emulator. */
export class Emulator {
  #controlUrl;
  #token;
  #stop;

  constructor({ url, connectionString, controlUrl, controlToken, pid, version }, stop) {
    this.url = url;
    this.connectionString = connectionString;
    this.pid = pid;
    this.version = version;
    this.#controlUrl = controlUrl;
    this.#token = controlToken;
    this.#stop = stop;
  }

  get controlUrl() { return this.#controlUrl; }

  /** request calls any operation of the control API and returns its JSON. */
  async request(method, path, body, options = {}) {
    const response = await fetch(path.startsWith('http') ? path : this.#controlUrl + path, {
      method,
      signal: options.signal,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!response.ok) {
      let error = {};
      try {
        error = (await response.json()).error ?? {};
      } catch { /* no JSON */ }
      throw new ControlError(response.status, error.code ?? '', error.message ?? `${method} ${path}: ${response.status}`);
    }
    if (options.raw) return response;
    return response.status === 204 ? undefined : response.json();
  }

  /** list returns all pages of a list. */
  async list(path, query = {}) {
    const q = new URLSearchParams();
    for (const [k, v] of Object.entries(query)) if (v !== undefined) q.set(k, String(v));
    const all = [];
    for (let next = `${path}${q.size ? `?${q}` : ''}`; next;) {
      const page = await this.request('GET', next);
      all.push(...page.value);
      next = page.nextLink;
    }
    return all;
  }

  info() { return this.request('GET', '/info'); }
  hubs() { return this.list('/hubs'); }
  connections(query) { return this.list('/connections', query); }
  groups(query) { return this.list('/groups', query); }
  users(query) { return this.list('/users', query); }
  connection(hub, id) { return this.request('GET', `/hubs/${segment(hub)}/connections/${segment(id)}`); }
  setHub(hub, settings) { return this.request('PUT', `/hubs/${segment(hub)}/settings`, settings); }

  /** clientUrl returns a client access URL with a token. */
  async clientUrl(options) { return (await this.request('POST', '/tokens', options)).url; }

  /** send sends a message as the application server: to all, or to a group, user or connection. */
  send(hub, message, to = {}) {
    const target = to.group !== undefined ? `/groups/${segment(to.group)}`
      : to.userId !== undefined ? `/users/${segment(to.userId)}`
        : to.connectionId !== undefined ? `/connections/${segment(to.connectionId)}` : '';
    return this.request('POST', `/hubs/${segment(hub)}${target}/send`, message);
  }

  closeConnection(hub, id, options = {}) { return this.request('POST', `/hubs/${segment(hub)}/connections/${segment(id)}/close`, options); }
  resetConnection(hub, id) { return this.request('POST', `/hubs/${segment(hub)}/connections/${segment(id)}/reset`, {}); }

  /** inject applies a fault until remove is called. */
  async inject(fault) {
    const { id } = await this.request('POST', '/faults', fault);
    return {
      id,
      hits: async () => (await this.request('GET', `/faults/${id}`)).hits,
      remove: () => this.request('DELETE', `/faults/${id}`),
    };
  }

  /** setNetwork simulates network conditions until the next call or reset. */
  setNetwork(conditions) { return this.request('PUT', '/network', conditions); }

  journal(query) { return this.list('/journal', query); }
  entry(id) { return this.request('GET', `/journal/${id}`); }

  /** entries yields journal entries as they come: those that are kept first. */
  async *entries({ signal } = {}) {
    const abort = new AbortController();
    const end = () => abort.abort();
    signal?.addEventListener('abort', end);
    try {
      const response = await this.request('GET', '/journal', undefined, { raw: true, signal: abort.signal, headers: { Accept: 'text/event-stream' } });
      let rest = '';
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop();
        for (const block of blocks) {
          const lines = block.split('\n');
          if (!lines.includes('event: entry')) continue;
          yield JSON.parse(lines.filter((l) => l.startsWith('data:')).map((l) => l.slice(5)).join('\n'));
        }
      }
    } catch (err) {
      if (!signal?.aborted) throw err;
    } finally {
      signal?.removeEventListener('abort', end);
      abort.abort();
    }
  }

  /** waitFor returns the first entry that matches, among those that are kept or to come. */
  async waitFor(match, { timeout = 10_000 } = {}) {
    const signal = AbortSignal.timeout(timeout);
    for await (const entry of this.entries({ signal })) if (match(entry)) return entry;
    throw new Error(`webpubsub-emulator: no such journal entry within ${timeout} ms`);
  }

  /** waitIdle returns when no event, send or delivery is in progress. */
  async waitIdle({ timeout = 10_000 } = {}) { await this.request('POST', `/idle?timeout=${timeout / 1000}`); }

  /** reset ends all connections and removes groups, permissions, faults and journal. */
  async reset() { await this.request('POST', '/reset'); }

  /** stop ends the emulator that startEmulator started. */
  async stop() { await this.#stop?.(); }

  async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() { await this.stop(); }
}

/** startEmulator starts the program and returns when it listens. */
export async function startEmulator(options = {}) {
  const { addr = 'localhost:0', hub, upstream, anonymous, args = [], env = {}, log, timeout = 20_000 } = options;
  const dir = mkdtempSync(join(tmpdir(), 'webpubsub-'));
  const ready = join(dir, 'ready.json');
  const command = ['emulator', '-addr', addr, '-ready-file', ready];
  if (hub) command.push('-hub', hub);
  if (upstream) command.push('-upstream', upstream);
  if (anonymous) command.push('-anonymous');
  const child = spawn(findBinary(options.binary), [...command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // The token is in the environment: other users of the machine can read arguments.
    env: { ...process.env, WEBPUBSUB_CONTROL_TOKEN: randomBytes(24).toString('base64url'), ...env },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      output = (output + text).slice(-16_000);
      log?.(text);
    });
  }
  const ended = new Promise((resolve) => {
    child.once('error', (err) => resolve(err.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? code}`));
  });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill); // a test run that is interrupted leaves nothing behind
  const cleanUp = () => {
    process.removeListener('exit', kill);
    rmSync(dir, { recursive: true, force: true });
  };
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
    cleanUp();
  };
  const deadline = Date.now() + timeout;
  for (;;) {
    if (existsSync(ready)) return new Emulator(JSON.parse(readFileSync(ready, 'utf8')), stop);
    const why = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 15))]);
    if (why || Date.now() > deadline) {
      kill();
      cleanUp();
      throw new Error(`webpubsub-emulator: the emulator did not start: ${why ?? `nothing within ${timeout} ms`}\n${output}`);
    }
  }
}

export { findBinary };

// A small client of the subprotocol json.reliable.webpubsub.azure.v1 (Azure Web PubSub
// reference, "JSON WebSocket subprotocol" and "Create reliable WebSocket clients"),
// which webapp serves to pages as index/client.js.
//
// Microsoft's @azure/web-pubsub-client speaks the same protocol and is the
// right choice for a page that is built with a bundler. Its npm package is made
// of many modules that import others by bare name (buffer, events, tslib, …),
// which a browser cannot load as they are, and this one needs no build step.

const PROTOCOL = 'json.reliable.webpubsub.azure.v1';
const RECOVERABLE = 30_000; // ms for which the service keeps a lost connection
const RECOVER_EVERY = 1_000;
const FIRST_FRAME_WITHIN = 15_000;
// How long a recovered socket and a new connection must last, and receive
// something new, until attempts start from the beginning. A service that accepts
// each socket and closes it again would be dialed without a pause otherwise.
const PROVEN_SOCKET = 1_000;
const PROVEN_CONNECTION = 10_000;
const MAX_FRAME = 1 << 20; // bytes that the service accepts; it closes with 1009 on more
// Close codes after which there is nothing to recover: it was refused, or a frame
// of this client was, which would be refused again.
const FINAL = [1008, 1003, 1007, 1009];
const ASK_AFTER = 200;
const PING_EVERY = 20_000;
const ACK_TIMEOUT = 20_000;
const SEQUENCE_ACK_AFTER = 1_000;
const BACKOFF_MAX = 30_000;
const LOST = 4000; // any close code but 1000 keeps the connection recoverable

// jitter takes off a random part, up to half: it keeps a thousand pages from
// coming back in the same second.
const jitter = (ms) => ms * (0.5 + Math.random() / 2);

const tooLarge = (text) => text.length > MAX_FRAME || new TextEncoder().encode(text).length > MAX_FRAME;

/** Thrown by the function given to Client: trying again would not help. */
export class RefusedError extends Error {}

/** A request that the service did not confirm; name is the service's own, or ConnectionLost, Timeout. */
export class RequestError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

/**
 * negotiate gets a client access URL from the application that serves the page, as a URL.
 * query has the parameters of the request, such as { userId: 'alice' }. It throws a
 * RefusedError with the reason if the caller is not allowed to connect.
 */
export async function negotiate(query = {}) {
  const parameters = `${new URLSearchParams(query)}`;
  const answer = await fetch(`negotiate${parameters && '?'}${parameters}`, { method: 'POST', redirect: 'manual' });
  // App Service redirects who is not signed in to a page of another site.
  if (answer.type === 'opaqueredirect') throw new RefusedError('Your sign-in has expired.');
  const body = await answer.json().catch(() => ({}));
  if ([400, 401, 403].includes(answer.status)) throw new RefusedError(body.error ?? `Negotiate answered ${answer.status}.`);
  if (!answer.ok) throw new Error(body.error ?? `Negotiate answered ${answer.status}.`);
  return new URL(body.url);
}

/**
 * Client keeps one connection: it recovers a dropped one without loss, and when
 * that is no longer possible makes a new one, waiting longer each time.
 *
 *   const client = new Client(() => negotiate());
 *   client.addEventListener('message', (e) => console.log(e.detail.data));
 *   client.start();
 *   await client.sendEvent('message', { text: 'hello' });
 *
 * Events: state {state, retryAt?, error?}, connected {connectionId, userId} once
 * for every new connection, message (the frame), disconnected {message},
 * refused (the RefusedError). States: stopped, connecting, connected,
 * recovering, waiting.
 */
export class Client extends EventTarget {
  #getURL;
  #running; // the current start, undefined when stopped
  #state = 'stopped';
  #socket; // the open or opening WebSocket
  #lose; // ends the current transport immediately
  #wake; // ends the current wait immediately
  #holdUntil = 0;
  #session = {};
  #ackId = 0;
  #pending = new Map();

  /** getURL returns a promise of a fresh client access URL. */
  constructor(getURL) {
    super();
    this.#getURL = getURL;
    globalThis.addEventListener?.('online', () => this.retry());
    // A browser notices a lost network long before TCP does. Recovery loses
    // nothing, so a false alarm costs little.
    globalThis.addEventListener?.('offline', () => this.#lose?.());
  }

  /** What a debugging view shows. */
  get info() {
    return { connectionId: this.#session.id, sequenceId: this.#session.seen ?? 0 };
  }

  /** start connects, and stays connected until stop. */
  async start() {
    if (this.#running) return;
    const running = (this.#running = {});
    for (let failures = 0; this.#running === running; failures++) {
      this.#set('connecting');
      let error;
      try {
        const url = await this.#getURL();
        if (this.#running !== running) return;
        const session = await this.#live(url, running);
        if (session.proven) failures = 0;
      } catch (e) {
        error = e;
      }
      if (this.#running !== running) return;
      if (error instanceof RefusedError) {
        this.stop();
        return this.#emit('refused', error);
      }
      const wait = jitter(Math.min(BACKOFF_MAX, 1000 * 2 ** failures));
      this.#set('waiting', { retryAt: Date.now() + wait, error });
      await this.#sleep(wait);
    }
  }

  /** stop closes with 1000: the service removes the connection immediately. */
  stop() {
    if (!this.#running) return;
    this.#running = undefined;
    this.#socket?.close(1000);
    this.#lose?.();
    this.#wake?.();
    this.#set('stopped');
  }

  /** retry ends a wait between two attempts. */
  retry() {
    this.#wake?.();
  }

  /** drop drops the connection as a lost network would, and waits for hold milliseconds before it reconnects. */
  drop(hold = 0) {
    this.#holdUntil = Date.now() + hold;
    this.#lose?.();
  }

  /** sendEvent calls the event handler; resolves when it has answered. The service accepts no event without data. */
  sendEvent(event, data = {}) {
    return this.#request({ type: 'event', event, dataType: 'json', data });
  }

  joinGroup(group) {
    return this.#request({ type: 'joinGroup', group });
  }

  leaveGroup(group) {
    return this.#request({ type: 'leaveGroup', group });
  }

  /** publish sends to the other members of the group and asks for no confirmation; a message over 1 MiB is dropped. */
  publish(group, data) {
    const text = JSON.stringify({ type: 'sendToGroup', group, noEcho: true, dataType: 'json', data });
    if (this.#state === 'connected' && !tooLarge(text)) this.#send(text);
  }

  // live runs one connection to its final end, over as many sockets as it takes.
  async #live(url, running) {
    const session = (this.#session = { seen: 0, acked: 0 });
    let end = await this.#transport(url, session);
    let lostAt = Date.now();
    let pause = 0;
    while (this.#running === running && session.token && !session.closed && !FINAL.includes(end.code)) {
      this.#set('recovering');
      await this.#sleep(Math.max(pause, this.#holdUntil - Date.now()));
      if (this.#running !== running || Date.now() - lostAt > RECOVERABLE) break;
      const again = new URL(url);
      again.searchParams.set('awps_connection_id', session.id);
      again.searchParams.set('awps_reconnection_token', session.token);
      end = await this.#transport(again, session);
      const proven = end.progress && end.life >= PROVEN_SOCKET;
      if (proven) lostAt = Date.now();
      pause = proven ? 0 : jitter(RECOVER_EVERY);
    }
    clearTimeout(session.ackTimer);
    return session;
  }

  // transport runs one socket and resolves when it is gone.
  #transport(url, session) {
    return new Promise((resolve) => {
      const socket = (this.#socket = new WebSocket(url, PROTOCOL));
      let heard = true;
      let connected = false;
      let connectedAt;
      let progress = !session.id; // the first frame of a new connection is something new
      const limitSilence = () => setTimeout(() => over(LOST), FIRST_FRAME_WITHIN);
      // A new connection has to wait for the event handler before it opens.
      let first = session.id ? limitSilence() : undefined;
      const heartbeat = setInterval(() => {
        if (!heard) return over(LOST);
        heard = false;
        this.#write({ type: 'ping' });
      }, PING_EVERY);
      const over = (code) => {
        if (this.#socket !== socket) return;
        clearInterval(heartbeat);
        clearTimeout(first);
        this.#socket = this.#lose = undefined;
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(LOST);
        for (const p of this.#pending.values()) p.reject(new RequestError('ConnectionLost', 'The connection was lost.'));
        const life = connected ? Date.now() - connectedAt : 0;
        if (progress && life >= PROVEN_CONNECTION) session.proven = true;
        resolve({ code, life, progress });
      };
      this.#lose = () => over(LOST);
      socket.onclose = (e) => over(e.code);
      // The WebSocket of a rejected recovery opens too, and is closed immediately with 1008. So a
      // socket counts as recovered when the service has answered, not before;
      // and it is asked a little later, since a frame that crosses the close
      // can make the network layer throw the close away.
      socket.onopen = () => {
        first ??= limitSilence();
        if (session.token) setTimeout(() => this.#socket === socket && this.#write({ type: 'ping' }), ASK_AFTER);
      };
      socket.onmessage = (e) => {
        heard = true;
        const frame = JSON.parse(e.data);
        const isNew = frame.event === 'connected' && !session.id;
        if (frame.event === 'connected') {
          session.id = frame.connectionId;
          session.token = frame.reconnectionToken;
        }
        if (!connected && session.id) {
          connected = true;
          connectedAt = Date.now();
          clearTimeout(first);
          this.#set('connected');
          if (isNew) this.#emit('connected', { connectionId: frame.connectionId, userId: frame.userId });
        }
        if (this.#receive(frame, session)) progress = true;
      };
    });
  }

  // receive reports whether the frame is something new, and not a repetition.
  #receive(frame, session) {
    switch (frame.type) {
      case 'ack': {
        const p = this.#pending.get(frame.ackId);
        // Duplicate: an earlier attempt with this id has succeeded.
        if (frame.success || frame.error?.name === 'Duplicate') p?.resolve();
        else p?.reject(new RequestError(frame.error?.name ?? 'Error', frame.error?.message ?? 'The service refused.'));
        break;
      }
      case 'message':
        if (frame.sequenceId) {
          const repeated = frame.sequenceId <= session.seen;
          session.seen = Math.max(session.seen, frame.sequenceId);
          this.#acknowledge(session);
          if (repeated) return false;
        }
        this.#emit('message', frame);
        break;
      case 'system':
        if (frame.event === 'disconnected') {
          session.closed = true; // on purpose, so there is nothing to recover
          this.#emit('disconnected', { message: frame.message });
        }
        return false;
    }
    return true;
  }

  // acknowledge lets the service forget what has arrived: soon, not for every message.
  #acknowledge(session) {
    const send = () => {
      session.ackTimer = undefined;
      session.acked = session.seen;
      this.#write({ type: 'sequenceAck', sequenceId: session.seen });
    };
    if (session.seen - session.acked > 300) send();
    else session.ackTimer ??= setTimeout(send, SEQUENCE_ACK_AFTER);
  }

  #request(frame) {
    if (this.#state !== 'connected') {
      return Promise.reject(new RequestError('ConnectionLost', 'There is no connection.'));
    }
    const ackId = ++this.#ackId;
    const text = JSON.stringify({ ...frame, ackId });
    if (tooLarge(text)) {
      return Promise.reject(new RequestError('TooLarge', 'The message is larger than the service accepts (1 MiB).'));
    }
    let timer;
    return new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new RequestError('Timeout', 'The service did not answer in time.')), ACK_TIMEOUT);
      this.#pending.set(ackId, { resolve, reject });
      this.#send(text);
    }).finally(() => {
      clearTimeout(timer);
      this.#pending.delete(ackId);
    });
  }

  #write(frame) {
    this.#send(JSON.stringify(frame));
  }

  #send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #sleep(ms) {
    if (!(ms > 0)) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }

  #set(state, more = {}) {
    this.#state = state;
    this.#emit('state', { state, ...more });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// What the pages of the examples share. client.js comes from package webapp.

import { Client, negotiate } from './client.js';

/** $ returns the element with this id. */
export const $ = (id) => document.getElementById(id);

/** el makes an element. Children are elements and texts, which never become HTML. */
export function el(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// A page without sign-in has a user all the same, the same one after a reload. With
// sign-in the server knows the user, and takes no other.
function guest() {
  const name = localStorage.getItem('user') ?? `guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  localStorage.setItem('user', name);
  return name;
}

const states = {
  connecting: 'Connecting',
  connected: 'Connected',
  recovering: 'Connection interrupted, recovering',
  waiting: 'Not connected, trying again',
  stopped: 'Not connected',
};

/** connect returns a client that connects when it is started, and shows its state in #status. */
export function connect() {
  const { names } = document.body.dataset; // how users are known, see package webapp
  const client = new Client(() => negotiate(names === 'ask' ? { userId: guest() } : {}));
  const show = (state, ...text) => {
    $('status').dataset.state = state;
    $('status').replaceChildren(...text);
  };
  client.addEventListener('state', ({ detail: { state } }) => show(state, states[state]));
  client.addEventListener('refused', ({ detail }) => {
    const signIn = `/.auth/login/aad?${new URLSearchParams({ post_login_redirect_uri: location.pathname })}`;
    show('refused', `${detail.message} `, ...(names === 'platform' ? [el('a', { href: signIn, textContent: 'Sign in' })] : []));
  });
  // A page that goes away closes its connection, and does not leave it to be recovered.
  addEventListener('pagehide', () => client.stop());
  addEventListener('pageshow', (e) => e.persisted && client.start());
  return client;
}

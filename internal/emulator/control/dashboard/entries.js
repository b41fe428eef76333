// Journal entries as rows that open to their request and response.

import { h, clock, pretty, copyButton, attempt, shellQuote } from './dom.js';
import { get, post } from './api.js';

const tone = { rejected: 'bad', eventFailed: 'bad', eventRetried: 'warn', interrupted: 'warn', fault: 'warn', dropped: 'warn', connected: 'good', recovered: 'good' };

export function entryRow(entry) {
  const box = h('div');
  const row = h('button', {
    type: 'button', className: 'entry', 'aria-expanded': 'false',
    onclick: async () => {
      const open = row.getAttribute('aria-expanded') === 'true';
      row.setAttribute('aria-expanded', String(!open));
      box.querySelector('.entry-detail')?.remove();
      if (!open) box.append(await detail(entry));
      row.dispatchEvent(new CustomEvent('reading', { bubbles: true }));
    },
  },
  h('time', { dateTime: entry.time }, clock(entry.time)),
  h('span', {}, h('span', { className: 'tag ' + (tone[entry.kind] ?? '') }, entry.kind)),
  h('span', { className: 'what' }, entry.text),
  h('span', { className: 'end soft small' }, entry.durationMs ? `${Math.round(entry.durationMs * 10) / 10} ms` : ''));
  box.append(row);
  return box;
}

export const entryList = (entries) => h('div', {}, entries.map((e) => h('div', { className: 'cause' + (e.warning ? ' warning' : '') }, entryRow(e))));

function payload(p) {
  if (!p) return h('p', { className: 'soft small' }, 'no payload');
  const note = [p.contentType, `${p.bytes} bytes`, p.encoding === 'base64' ? 'binary, as base64' : '', p.truncated ? 'shortened' : ''].filter(Boolean).join(', ');
  return h('div', { className: 'stack' }, h('span', { className: 'soft small' }, note), p.data ? h('pre', { tabIndex: 0 }, p.encoding === 'utf8' ? pretty(p.data) : p.data) : null);
}

const headers = (all) => h('details', {}, h('summary', {}, `${Object.keys(all ?? {}).length} headers`),
  h('dl', { className: 'headers' }, Object.entries(all ?? {}).flatMap(([k, vs]) => vs.flatMap((v) => [h('dt', {}, k), h('dd', {}, v)]))));

export function curl(x) {
  const parts = ['curl', '-i', '-X', x.method, shellQuote(x.url)];
  for (const [name, values] of Object.entries(x.requestHeaders ?? {})) {
    for (const v of values) if (!/^(content-length|accept-encoding)$/i.test(name)) parts.push('-H', shellQuote(`${name}: ${v}`));
  }
  if (x.requestBody?.data) {
    if (x.requestBody.encoding === 'utf8') parts.push('--data-binary', shellQuote(x.requestBody.data));
    else return `printf %s ${shellQuote(x.requestBody.data)} | base64 -d | ${parts.join(' ')} --data-binary @-`;
  }
  return parts.join(' ');
}

function exchange(title, x) {
  return h('div', { className: 'stack' },
    h('div', { className: 'row' }, h('h3', {}, title), copyButton(() => curl(x), 'Copy as curl')),
    h('p', { className: 'mono' }, `${x.method} ${x.url}`), headers(x.requestHeaders), payload(x.requestBody),
    h('p', {}, x.status ? h('span', { className: 'tag ' + (x.status < 400 ? 'good' : 'bad') }, String(x.status)) : h('span', { className: 'tag bad' }, x.error ?? 'no response'),
      x.durationMs ? h('span', { className: 'soft small' }, ` after ${Math.round(x.durationMs * 10) / 10} ms`) : null),
    x.status ? [headers(x.responseHeaders), payload(x.responseBody)] : null);
}

const frame = (title, f) => h('div', { className: 'stack' }, h('h3', {}, title), h('p', { className: 'small soft' }, [f.type, f.protocol].filter(Boolean).join(', ')),
  payload(f.raw), f.decoded !== undefined ? h('details', { open: true }, h('summary', {}, 'decoded'), h('pre', { tabIndex: 0 }, JSON.stringify(f.decoded, null, 2))) : null);

async function detail(entry) {
  const box = h('div', { className: 'entry-detail' });
  if (entry.reason) box.append(h('p', { className: entry.warning ? 'bad' : '' }, entry.reason));
  if (entry.detail !== 'kept') {
    box.append(h('p', { className: 'soft small' }, entry.detail === 'dropped' ? 'The content of this entry was removed because of the memory limit.' : 'This entry has no content.'));
    return box;
  }
  try {
    const { content: c = {} } = await get('/journal/' + entry.id);
    if (c.frame) box.append(frame('Frame of the client', c.frame));
    if (c.request) box.append(exchange('REST request', c.request));
    if (c.upstream) {
      box.append(exchange('Request to the event handler', c.upstream));
      box.append(h('div', {}, h('button', { type: 'button', onclick: attempt(() => post(`/journal/${entry.id}/replay`, {}), (r) => r.error ?? `The event handler responded with ${r.status}.`) }, 'Replay to the event handler')));
    }
    if (c.message) box.append(h('div', { className: 'stack' }, h('h3', {}, 'Message'), payload(c.message)));
    for (const f of c.delivered ?? []) box.append(frame('As delivered', f));
    if (c.incomplete?.length) box.append(h('p', { className: 'soft small' }, `Removed because of the memory limit: ${c.incomplete.join(', ')}.`));
  } catch (err) {
    box.append(h('p', { className: 'bad' }, err.message));
  }
  return box;
}

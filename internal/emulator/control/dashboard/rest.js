import { h, panel, empty, field, select, copyable, attempt, pretty, shellQuote } from './dom.js';
import { post, segment } from './api.js';
import { state, on } from './state.js';

const version = '2024-12-01';
// Each operation: method, path below the hub, its parameters, the call of
// @azure/web-pubsub. A parameter that begins with ? is of the query, # is the body.
const operations = [
  ['Send to all', 'POST', '/:send', ['#message', '?filter', '?excluded', '?messageTtlSeconds'], (p) => `service.sendToAll(${p.body})`],
  ['Send to a group', 'POST', '/groups/{group}/:send', ['group', '#message', '?filter', '?excluded', '?messageTtlSeconds'], (p) => `service.group(${p.group}).sendToAll(${p.body})`],
  ['Send to a user', 'POST', '/users/{userId}/:send', ['userId', '#message', '?filter', '?messageTtlSeconds'], (p) => `service.sendToUser(${p.userId}, ${p.body})`],
  ['Send to a connection', 'POST', '/connections/{connectionId}/:send', ['connectionId', '#message', '?messageTtlSeconds'], (p) => `service.sendToConnection(${p.connectionId}, ${p.body})`],
  ['Does a connection exist?', 'HEAD', '/connections/{connectionId}', ['connectionId'], (p) => `service.connectionExists(${p.connectionId})`],
  ['Does a group exist?', 'HEAD', '/groups/{group}', ['group'], (p) => `service.groupExists(${p.group})`],
  ['Does a user exist?', 'HEAD', '/users/{userId}', ['userId'], (p) => `service.userExists(${p.userId})`],
  ['List the connections of a group', 'GET', '/groups/{group}/connections', ['group', '?maxpagesize', '?top', '?continuationToken'], (p) => `service.group(${p.group}).listConnections()`],
  ['Add a connection to a group', 'PUT', '/groups/{group}/connections/{connectionId}', ['group', 'connectionId'], (p) => `service.group(${p.group}).addConnection(${p.connectionId})`],
  ['Remove a connection from a group', 'DELETE', '/groups/{group}/connections/{connectionId}', ['group', 'connectionId'], (p) => `service.group(${p.group}).removeConnection(${p.connectionId})`],
  ['Remove a connection from all groups', 'DELETE', '/connections/{connectionId}/groups', ['connectionId'], (p) => `service.removeConnectionFromAllGroups(${p.connectionId})`],
  ['Add a user to a group', 'PUT', '/users/{userId}/groups/{group}', ['userId', 'group'], (p) => `service.group(${p.group}).addUser(${p.userId})`],
  ['Remove a user from a group', 'DELETE', '/users/{userId}/groups/{group}', ['userId', 'group'], (p) => `service.group(${p.group}).removeUser(${p.userId})`],
  ['Remove a user from all groups', 'DELETE', '/users/{userId}/groups', ['userId'], (p) => `service.removeUserFromAllGroups(${p.userId})`],
  ['Add connections to groups', 'POST', '/:addToGroups', ['#groups'], (p) => `service.addConnectionsToGroups(groups, filter) // ${p.body}`],
  ['Remove connections from groups', 'POST', '/:removeFromGroups', ['#groups'], (p) => `service.removeConnectionsFromGroups(groups, filter) // ${p.body}`],
  ['Grant a permission', 'PUT', '/permissions/{permission}/connections/{connectionId}', ['permission', 'connectionId', '?targetName'], (p) => `service.grantPermission(${p.connectionId}, ${p.permission}, { targetName: ${p.targetName} })`],
  ['Revoke a permission', 'DELETE', '/permissions/{permission}/connections/{connectionId}', ['permission', 'connectionId', '?targetName'], (p) => `service.revokePermission(${p.connectionId}, ${p.permission}, { targetName: ${p.targetName} })`],
  ['Check a permission', 'HEAD', '/permissions/{permission}/connections/{connectionId}', ['permission', 'connectionId', '?targetName'], (p) => `service.hasPermission(${p.connectionId}, ${p.permission}, { targetName: ${p.targetName} })`],
  ['Close a connection', 'DELETE', '/connections/{connectionId}', ['connectionId', '?reason'], (p) => `service.closeConnection(${p.connectionId}, { reason: ${p.reason} })`],
  ['Close the connections of a user', 'POST', '/users/{userId}/:closeConnections', ['userId', '?excluded', '?reason'], (p) => `service.closeUserConnections(${p.userId})`],
  ['Close the connections of a group', 'POST', '/groups/{group}/:closeConnections', ['group', '?excluded', '?reason'], (p) => `service.group(${p.group}).closeAllConnections()`],
  ['Close all connections', 'POST', '/:closeConnections', ['?excluded', '?reason'], () => 'service.closeAllConnections()'],
  ['Generate a client token', 'POST', '/:generateToken', ['?userId', '?role', '?group', '?minutesToExpire', '?clientType'], (p) => `service.getClientAccessToken({ userId: ${p.userId} })`],
];
const lists = new Set(['excluded', 'role', 'group']); // given once for each value, separated by commas here

const history = [];

export default function rest(signal) {
  const operation = select(operations.map(([title], i) => ({ value: String(i), label: title })), '1');
  const form = h('form', { className: 'stack' });
  const preview = h('div', { className: 'stack' });
  const result = h('div', { className: 'stack' });
  const past = h('div');
  const values = { group: 'news', userId: 'alice', permission: 'sendToGroup', connectionId: '', '#message': 'hello', '#groups': '{"groups":["news"],"filter":"userId eq \'alice\'"}' };

  const current = () => operations[Number(operation.value)];
  const contentType = select(['text/plain', 'application/json', 'application/octet-stream']);

  function request() {
    const [, method, path, params] = current();
    const query = new URLSearchParams({ 'api-version': version });
    let body;
    let url = `${state.info?.url ?? location.origin}/api/hubs/${segment(state.hub)}${path}`;
    for (const p of params) {
      const v = values[p] ?? '';
      if (p[0] === '#') body = v;
      else if (p[0] === '?') {
        if (v !== '') for (const one of lists.has(p.slice(1)) ? v.split(',') : [v]) query.append(p.slice(1), one);
      } else url = url.replace(`{${p}}`, segment(v));
    }
    const type = params.includes('#groups') ? 'application/json' : contentType.value;
    return { method, url: `${url}?${query}`, body, type: body === undefined ? undefined : type };
  }

  function showPreview() {
    const r = request();
    const curl = ['curl', '-i', ...(r.method === 'HEAD' ? ['--head'] : ['-X', r.method]), shellQuote(r.url), '-H', '"Authorization: Bearer $TOKEN"',
      ...(r.type ? ['-H', shellQuote(`Content-Type: ${r.type}`), '--data-binary', shellQuote(r.body)] : r.method === 'POST' || r.method === 'PUT' ? ['-H', shellQuote('Content-Length: 0')] : [])].join(' ');
    const quoted = {};
    for (const [k, v] of Object.entries(values)) quoted[k.replace(/^[?#]/, '')] = JSON.stringify(v);
    quoted.targetName ??= '"news"';
    quoted.reason ??= '""';
    quoted.body = r.type === 'text/plain' ? `${JSON.stringify(r.body)}, { contentType: "text/plain" }` : r.body ?? '';
    preview.replaceChildren(h('h3', {}, 'curl'), copyable(curl, true), h('h3', {}, 'JavaScript SDK'), copyable(`await ${current()[4](quoted)};`, true));
  }

  function showForm() {
    const [, , , params] = current();
    const inputs = params.map((p) => {
      const name = p.replace(/^[?#]/, '');
      let input;
      if (p === 'permission') input = select(['sendToGroup', 'joinLeaveGroup'], values[p]);
      else if (p[0] === '#') input = h('textarea', { rows: 3, value: values[p] ?? '' });
      else input = h('input', { value: values[p] ?? '', required: p[0] !== '?', placeholder: lists.has(name) ? 'comma separated' : '' });
      input.addEventListener('input', () => { values[p] = input.value; showPreview(); });
      return field(name + (p[0] === '?' ? ' (optional)' : ''), input, 'grow');
    });
    form.replaceChildren(...inputs, params.includes('#message') ? h('div', { className: 'row' }, field('Content type', contentType)) : '', h('div', {}, h('button', { className: 'primary' }, `${current()[1]} request`)));
    showPreview();
  }

  form.addEventListener('submit', attempt(async () => {
    const r = request();
    const { token } = await post('/tokens/rest', { url: r.url });
    const address = new URL(r.url); // the page may have reached the emulator by another name
    const began = performance.now();
    const response = await fetch(location.origin + address.pathname + address.search, {
      method: r.method, body: r.body, headers: { Authorization: 'Bearer ' + token, ...(r.type && { 'Content-Type': r.type }) },
    });
    const text = await response.text();
    history.unshift({ title: current()[0], status: response.status, took: performance.now() - began, text, headers: [...response.headers], operation: operation.value, values: { ...values }, at: new Date() });
    history.length = Math.min(history.length, 50);
    show(history[0]);
    showPast();
  }));

  function show(x) {
    result.replaceChildren(h('h3', {}, 'Response'), h('p', {}, h('span', { className: 'tag ' + (x.status < 400 ? 'good' : 'bad') }, String(x.status)), h('span', { className: 'soft small' }, ` ${x.title}, ${Math.round(x.took)} ms`)),
      h('details', {}, h('summary', {}, `${x.headers.length} headers`), h('dl', { className: 'headers' }, x.headers.flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]))),
      x.text ? h('pre', { tabIndex: 0 }, pretty(x.text)) : h('p', { className: 'soft small' }, 'no body'));
  }

  function showPast() {
    past.replaceChildren(...(history.length ? history.map((x) => h('div', { className: 'cause' }, h('button', { type: 'button', className: 'entry', onclick: () => {
      operation.value = x.operation;
      Object.assign(values, x.values);
      showForm();
      show(x);
    } }, h('time', {}, x.at.toLocaleTimeString([], { hour12: false })), h('span', {}, h('span', { className: 'tag ' + (x.status < 400 ? 'good' : 'bad') }, String(x.status))), h('span', { className: 'what' }, x.title)))) : [empty('Requests that you send are listed here.')]));
  }

  operation.addEventListener('change', showForm);
  contentType.addEventListener('change', showPreview);
  on('hub', showPreview, signal);
  showForm();
  showPast();
  return h('div', { className: 'split' },
    panel('REST request', null, h('div', { className: 'stack' }, field('Operation', operation), form, preview)),
    h('div', { className: 'stack' }, panel('Response', null, result.children.length ? result : (result.append(empty('Send a request to see the response.')), result)), panel('History', null, past)));
}

import { $, connect, el } from './look.js';

const MAX_READINGS = 60; // in a plot
const MAX_DEVICES = 48; // on the page

const degrees = (n) => `${n.toFixed(1)} °C`;

/** A device on the page. */
class Device {
  readings = []; // [temperature, target]

  constructor(name) {
    this.name = name;
    this.state = el('span', { className: 'state' });
    this.temperature = el('p', { className: 'temperature' });
    this.target = el('p', { className: 'muted' });
    this.plot = new Plot();
    this.input = el('input', { type: 'number', id: `target-${name}`, min: 5, max: 30, step: 0.5, required: true, inputMode: 'decimal' });
    this.problem = el('p', { className: 'problem', role: 'alert', hidden: true });
    const form = el('form', { className: 'row' },
      el('div', { className: 'grow' }, el('label', { htmlFor: this.input.id, textContent: 'Target in °C' }), this.input),
      el('button', { textContent: 'Set', ariaLabel: `Set the target of ${name}` }));
    form.addEventListener('submit', (e) => {
      e.preventDefault();
      this.command(this.input.valueAsNumber);
    });
    const title = el('h2', { textContent: name, id: `device-${name}` });
    this.card = el('article', { className: 'card device' }, el('header', {}, title, this.state), this.temperature, this.target, this.plot.svg, form, this.problem);
    this.card.setAttribute('aria-labelledby', title.id);
  }

  async command(target) {
    this.fail('');
    try {
      await client.sendEvent('command', { device: this.name, target });
    } catch (error) {
      this.fail(`Not sent: ${error.message}`);
    }
  }

  fail(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
  }

  // What the device reports is shown, and not what it was told: so a command that has
  // not arrived is seen.
  show({ temperature, target }) {
    this.readings.push([temperature, target]);
    if (this.readings.length > MAX_READINGS) this.readings.shift();
    this.temperature.textContent = degrees(temperature);
    this.target.textContent = `Target ${degrees(target)}`;
    if (!this.input.value) this.input.value = target;
    this.plot.show(this.readings, this.name);
    this.online(true);
  }

  online(is) {
    this.card.dataset.state = is ? 'online' : 'offline';
    this.state.textContent = is ? 'Online' : 'Offline';
  }
}

/** The last temperatures, and the target as a dashed line. */
class Plot {
  constructor() {
    const svg = (tag, attributes) => {
      const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
      return e;
    };
    this.svg = svg('svg', { class: 'plot', viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img' });
    this.target = svg('path', { class: 'target' });
    this.measured = svg('path', { class: 'measured' });
    this.svg.append(this.target, this.measured);
  }

  show(readings, name) {
    const all = readings.flat();
    const low = Math.min(...all) - 0.5;
    const high = Math.max(...all) + 0.5;
    const line = (i) => `M${readings.map((r, x) => `${((100 * x) / Math.max(readings.length - 1, 1)).toFixed(1)} ${((100 * (high - r[i])) / (high - low)).toFixed(1)}`).join('L')}`;
    this.measured.setAttribute('d', line(0));
    this.target.setAttribute('d', line(1));
    this.svg.setAttribute('aria-label', `Temperature of ${name}, the last ${readings.length} readings`);
  }
}

const devices = new Map(); // by name

function device(name) {
  if (devices.has(name) || devices.size >= MAX_DEVICES) return devices.get(name);
  const d = new Device(name);
  devices.set(name, d);
  $('none').hidden = true;
  $('devices').append(d.card);
  return d;
}

const client = connect();
client.addEventListener('message', ({ detail: { group, fromUserId, data } }) => {
  switch (group) {
    case 'telemetry': // from the server
      return device(data.device)?.show(data);
    case 'status': { // from a device itself; the service adds who it is
      const name = /^device-(.+)/.exec(fromUserId)?.[1];
      return devices.get(name)?.online(data?.online === true);
    }
    case undefined: // the reply to a command
      return devices.get(data?.device)?.fail(data.error ? `Not sent: ${data.error}.` : '');
  }
});
client.start();

import { $, connect, el } from './look.js';

const MAX_JOBS = 8; // on the page; the one that has not reported for the longest time goes
const SILENT_AFTER = 10_000; // ms without a report, which a running job sends twice a second

const states = { running: 'Running', succeeded: 'Succeeded', failed: 'Failed', silent: 'No reports: it may have been stopped' };
const jobs = new Map(); // id -> Job, in the order of their last reports

const number = (n) => n.toLocaleString('en', { maximumFractionDigits: n < 10 ? 1 : 0 });
const duration = (s) => (s < 90 ? `${number(s)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`);

/** One job on the page. Nothing is computed from earlier reports, since each has all. */
class Job {
  constructor(id) {
    this.title = el('h2', { id: `job-${id}` });
    this.state = el('span', { className: 'state' });
    this.error = el('p', { className: 'error' });
    this.bar = el('progress', { ariaLabel: 'Progress' });
    this.done = el('dd');
    this.rate = el('dd');
    this.time = el('dd');
    this.left = el('dd');
    this.plot = new Plot();
    const pair = (name, value) => el('div', {}, el('dt', { textContent: name }), value);
    this.card = el('article', { className: 'card job' },
      el('header', {}, this.title, this.state), this.error, this.bar,
      el('dl', { className: 'numbers' }, pair('Done', this.done), pair('Rate', this.rate), pair('Time', this.time), pair('Left', this.left)),
      this.plot.figure);
    this.card.setAttribute('aria-labelledby', this.title.id);
  }

  show({ job, state, error, done, total, points }) {
    const [seconds] = points.at(-1);
    // While it runs, the rate of the last quarter of the time, since it changes.
    const [from, before] = state === 'running' ? points.findLast(([t]) => t <= seconds * 0.75) : points[0];
    const rate = seconds > from ? (done - before) / (seconds - from) : 0;
    this.title.textContent = job;
    this.error.textContent = error ?? '';
    this.error.hidden = !error;
    this.bar.max = total;
    this.bar.value = done;
    this.done.textContent = `${number(done)} of ${number(total)}`;
    this.rate.textContent = `${number(rate)} per s`;
    this.time.textContent = duration(seconds);
    this.left.textContent = state !== 'running' ? 'none' : rate > 0 ? `about ${duration((total - done) / rate)}` : 'unknown';
    this.plot.show(points, total);
    this.setState(state);
    clearTimeout(this.timer);
    if (state === 'running') this.timer = setTimeout(() => this.setState('silent'), SILENT_AFTER);
  }

  setState(state) {
    if (this.card.dataset.state === state) return;
    this.card.dataset.state = state;
    this.state.textContent = states[state] ?? state;
  }
}

/** The items that were done at each time, as a line. */
class Plot {
  constructor() {
    const svg = (tag, attributes) => {
      const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
      return e;
    };
    this.svg = svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img' });
    this.area = svg('path', { class: 'area' });
    this.line = svg('path', { class: 'line' });
    this.svg.append(svg('path', { class: 'grid', d: 'M0 0H100M0 50H100M0 100H100' }), this.area, this.line);
    this.y = [el('span'), el('span'), el('span')];
    this.x = [el('span'), el('span'), el('span')];
    this.figure = el('figure', { className: 'plot' },
      el('div', { className: 'y' }, ...this.y), this.svg, el('div', { className: 'x' }, ...this.x),
      el('figcaption', { textContent: 'Items done over time' }));
  }

  show(points, total) {
    const end = Math.max(points.at(-1)[0], 1);
    const d = points.map(([t, n]) => `${((100 * t) / end).toFixed(2)} ${(100 - (100 * n) / Math.max(total, 1)).toFixed(2)}`).join('L');
    this.line.setAttribute('d', `M${d}`);
    this.area.setAttribute('d', `M0 100L${d}V100Z`);
    [total, total / 2, 0].forEach((n, i) => (this.y[i].textContent = number(n)));
    [0, end / 2, end].forEach((t, i) => (this.x[i].textContent = duration(t)));
    this.svg.setAttribute('aria-label', `${points.at(-1)[1]} of ${total} items after ${duration(points.at(-1)[0])}`);
  }
}

const client = connect();
client.addEventListener('message', ({ detail: { group, data } }) => {
  if (group !== 'jobs' || !data?.points?.length) return;
  let job = jobs.get(data.id);
  if (!job) {
    job = new Job(data.id);
    $('none').hidden = true;
    $('jobs').prepend(job.card);
  }
  jobs.delete(data.id);
  jobs.set(data.id, job);
  job.show(data);
  if (jobs.size > MAX_JOBS) {
    const [id, oldest] = jobs.entries().next().value;
    clearTimeout(oldest.timer);
    oldest.card.remove();
    jobs.delete(id);
  }
});
client.start();

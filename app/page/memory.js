// What the page remembers from one visit to the next, in the browser: the name,
// the user's rooms, and up to when each was read.

/** Memory is what is remembered of one user. */
export class Memory {
  #key;
  #data;

  constructor(user) {
    this.#key = `chat ${user}`;
    this.#data = parse(stored(this.#key)) ?? {};
  }

  /** rooms are the names of the user's rooms, or nothing at the first visit. */
  get rooms() {
    return Array.isArray(this.#data.rooms) ? this.#data.rooms.filter((r) => typeof r === 'string') : undefined;
  }

  set rooms(names) {
    this.#data.rooms = names;
    this.#save();
  }

  /** readUntil is the time of the last message that was read in a room; nothing if none was. */
  readUntil(room) {
    return this.#data.read?.[room];
  }

  read(room, time) {
    if (!(time > (this.readUntil(room) ?? ''))) return; // ISO 8601, so texts compare like times
    this.#data.read = { ...this.#data.read, [room]: time };
    this.#save();
  }

  forget(room) {
    delete this.#data.read?.[room];
    this.#save();
  }

  #save() {
    stored(this.#key, JSON.stringify(this.#data));
  }
}

/** stored reads or writes an entry. Storage may be forbidden; then nothing is remembered. */
export function stored(key, value) {
  try {
    return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value);
  } catch {
    return null;
  }
}

function parse(text) {
  try {
    const data = JSON.parse(text);
    return typeof data === 'object' ? data : undefined;
  } catch {
    return undefined;
  }
}

// Who is in a room, and who is typing there.

const TYPING_FOR = 5_000;
const LEFT_AFTER = 6_000; // who is back by then has reloaded the page, and has not left

/**
 * People are the users in a room. Events: change, when a user comes, leaves,
 * starts or stops typing; joined and left {user, time}, when it is worth a line.
 */
export class People extends EventTarget {
  #present = new Set();
  #typing = new Map(); // user → timer
  #leaving = new Map(); // user → timer

  get present() {
    return [...this.#present];
  }

  get typing() {
    return [...this.#typing.keys()];
  }

  /** set replaces who is present. */
  set(users) {
    for (const user of [...this.#leaving.keys()]) this.#stay(user);
    this.#present = new Set(users);
    this.#emit('change');
  }

  /** join adds a user, who may have another window already, or have reloaded this one. */
  join(user, time) {
    this.stopTyping(user);
    if (this.#stay(user) || this.#present.has(user)) return;
    this.#present.add(user);
    this.#emit('joined', { user, time });
    this.#emit('change');
  }

  /** leave takes a user away, after the time that a reload takes. */
  leave(user, time) {
    this.stopTyping(user);
    if (!this.#present.has(user) || this.#leaving.has(user)) return;
    this.#leaving.set(user, setTimeout(() => {
      this.#leaving.delete(user);
      this.#present.delete(user);
      this.#emit('left', { user, time });
      this.#emit('change');
    }, LEFT_AFTER));
  }

  type(user) {
    clearTimeout(this.#typing.get(user));
    this.#typing.set(user, setTimeout(() => this.stopTyping(user), TYPING_FOR));
    this.#emit('change');
  }

  stopTyping(user) {
    clearTimeout(this.#typing.get(user));
    if (this.#typing.delete(user)) this.#emit('change');
  }

  // stay reports whether the user was about to leave.
  #stay(user) {
    clearTimeout(this.#leaving.get(user));
    return this.#leaving.delete(user);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * The answers of late, by the ids of the text: what differs only in case or spaces hits too.
 * Mirrors function/cache.py.
 */

/** At most `size` values; the one unused for longest goes first. */
export class Cache {
  /** A Map keeps the order in which keys came. @type {Map<string, Float64Array>} */
  #values = new Map();
  #size;

  /** @param {number} size */
  constructor(size) {
    this.#size = size;
  }

  /**
   * @param {readonly number[]} ids
   * @returns {Float64Array | undefined}
   */
  get(ids) {
    const key = ids.join();
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  /**
   * @param {readonly number[]} ids
   * @param {Float64Array} value
   */
  put(ids, value) {
    const key = ids.join();
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#size) {
      this.#values.delete(/** @type {string} */ (this.#values.keys().next().value));
    }
  }
}

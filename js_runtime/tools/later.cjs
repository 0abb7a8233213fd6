/**
 * A module in place of another, which is read when it is first asked for anything.
 *
 * @param {() => any} read gives the other
 */
module.exports = (read) => {
  /** @type {any} */
  let found;
  const ask = () => found ??= read();
  return new Proxy(function () {}, {
    get: (_, key) => ask()[key],
    apply: (_, that, given) => ask().apply(that, given),
  });
};

/**
 * The runtime's `node:crypto`, loaded on first use. A run in which nothing is due doesn't need it, and a static import
 * would take a third of that run's time.
 *
 * @see https://nodejs.org/api/process.html#processgetbuiltinmoduleid
 */
export function nodeCrypto(): typeof import("node:crypto") {
  return process.getBuiltinModule("node:crypto");
}

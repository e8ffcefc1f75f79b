/**
 * The runtime's `node:crypto`, loaded when it is first asked for. An import would be loaded with whoever imports it,
 * and takes a third of what a run costs in which nothing is due, which needs none of it.
 *
 * @see https://nodejs.org/api/process.html#processgetbuiltinmoduleid
 */
export function nodeCrypto(): typeof import("node:crypto") {
  return process.getBuiltinModule("node:crypto");
}

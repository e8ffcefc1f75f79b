import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  Scalar,
  visit,
  YAMLMap,
} from "yaml";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";

/**
 * The three kinds of entries, each with the fields that are ours: those that we write, and those that would contradict
 * them. The Go tool wrote `api-version`, which nothing reads.
 */
export const kinds = {
  cluster: [
    ...["server", "certificate-authority", "certificate-authority-data"],
    ...["insecure-skip-tls-verify", "api-version"],
  ],
  context: ["cluster", "namespace", "user"],
  user: ["client-certificate", "client-certificate-data", "client-key", "client-key-data"],
} as const;
export type Kind = keyof typeof kinds;
export const kindNames: readonly Kind[] = ["cluster", "context", "user"];

/** Reads every value as a string, so that foreign values are written back exactly as they were. */
const asTexts = {
  schema: "failsafe",
  prettyErrors: false,
  logLevel: "error",
  // Its check compares every field with every other. `repeatedKey` is faster.
  uniqueKeys: false,
} as const;

/** Deeper than anything that people write. Writing takes longer the deeper the nesting is. */
const deepest = 200;

/**
 * How many lines, and fields in brackets, a file may have: enough for 1500 clusters. Each takes a few kilobytes of
 * memory, and nearly a millisecond to read and write.
 */
const mostParts = 20_000;

/** A kubeconfig as YAML nodes, which keep comments and layout. */
export interface Root {
  readonly document: Document;
  readonly map: YAMLMap;
}

/**
 * Parses a kubeconfig. An empty text is an empty kubeconfig.
 *
 * @param name the file's name, for messages
 * @throws Failure (data) if it is not a kubeconfig
 */
export function readRoot(text: string, name: string): Root {
  // The runtime's replacement for invalid UTF-8. Writing it back would change the file.
  if (text.includes("\ufffd")) throw refused(name, "it is not UTF-8");
  if (countParts(text) > mostParts) throw refused(name, `it has more than ${mostParts} lines and fields`);
  const document: Document = parseDocument<Node>(text, asTexts);
  const [error] = document.errors;
  // The library's own message may quote a key.
  if (error !== undefined) throw refused(name, `line ${lineOf(text, error.pos[0])} is not YAML`);
  visit(document, {
    Node(_key, node, path) {
      if (path.length > deepest) throw refused(name, "it is nested too deep");
      const again = isMap(node) ? repeatedKey(node) : undefined;
      if (again !== undefined) throw refused(name, `line ${lineOf(text, again)} repeats a field`);
    },
  });
  const map = isNothing(document.contents) ? new YAMLMap() : document.contents;
  document.contents = map;
  if (!isMap(map)) throw refused(name, "it holds no fields");
  const root = { document, map };
  checkKind(root, name);
  for (const kind of kindNames) checkList(root, kind, name);
  return root;
}

function countParts(text: string): number {
  let parts = 0;
  for (const _ of text.matchAll(/[\n,[{]/g)) parts++;
  return parts;
}

/** The position of a repeated key; undefined if there is none. */
function repeatedKey(map: YAMLMap): number | undefined {
  const seen = new Set<unknown>();
  for (const { key } of map.items) {
    const value = isScalar(key) ? key.value : key;
    if (seen.has(value)) return isNode(key) ? (key.range?.[0] ?? 0) : 0;
    seen.add(value);
  }
  return undefined;
}

function lineOf(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}

function checkKind({ map }: Root, name: string): void {
  if (map.items.length === 0) return;
  const [kind, version] = [textOf(map.get("kind", true)), textOf(map.get("apiVersion", true))];
  const hasList = kindNames.some((it) => map.has(`${it}s`));
  if ((kind === undefined && !hasList) || (kind ?? "Config") !== "Config" || (version ?? "v1") !== "v1") {
    throw refused(name, "it is not of kind Config, version v1");
  }
}

function checkList(root: Root, kind: Kind, name: string): void {
  const list = root.map.get(`${kind}s`, true);
  if (isNothing(list)) return;
  if (!isSeq(list)) throw refused(name, `its ${kind}s are not a list`);
  const names = list.items.map((entry) => (isMap(entry) ? textOf(entry.get("name", true)) : undefined));
  if (names.includes(undefined)) throw refused(name, `one of its ${kind}s has no name`);
  const seen = new Set<string | undefined>();
  const twice = names.find((it) => seen.size === seen.add(it).size);
  if (twice !== undefined) throw refused(name, `it has two ${kind}s ${JSON.stringify(twice)}`);
}

function refused(name: string, why: string): Failure {
  return new Failure("data", `${printable(name)} is not a kubeconfig: ${why}`, {
    hint: "nothing was changed; fix or remove it, or choose another path",
  });
}

/** Whether YAML reads a value as null, which kubectl takes as an empty list. */
export function isNothing(node: unknown): boolean {
  return (
    node === undefined ||
    node === null ||
    (isScalar(node) &&
      (node.value === null || (isPlain(node) && /^(|~|null|Null|NULL)$/.test(String(node.value)))))
  );
}

function isPlain(node: Scalar): boolean {
  return node.type === undefined || node.type === Scalar.PLAIN;
}

/** A scalar's text; undefined for any other node and for null. */
export function textOf(node: unknown): string | undefined {
  return isScalar(node) && !isNothing(node) ? String(node.value) : undefined;
}

/** The entries of a list, each with its name. */
export function entriesOf({ map }: Root, kind: Kind): YAMLMap[] {
  const list = map.get(`${kind}s`, true);
  return isSeq(list) ? list.items.filter((it) => isMap(it)) : [];
}

/** The first entry with a name; undefined if there is none. */
export function entryOf(root: Root, kind: Kind, name: string): YAMLMap | undefined {
  return entriesOf(root, kind).find((entry) => textOf(entry.get("name", true)) === name);
}

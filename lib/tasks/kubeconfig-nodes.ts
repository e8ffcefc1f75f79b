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
 * The three lists, and of an entry the fields that are ours: those that we write, and those that would contradict
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

/** Every value as a text: one that is not ours is written again as it looked, whatever it means. */
const asTexts = {
  schema: "failsafe",
  prettyErrors: false,
  logLevel: "error",
  // It compares each field with each: `repeatedKey` does not.
  uniqueKeys: false,
} as const;

/** Deeper than anything that people write. The time to write it grows with the depth. */
const deepest = 200;

/**
 * Lines, and fields that are on one line in brackets: enough for 1500 clusters. Each takes some kilobytes of memory, and
 * most of a millisecond to read and write.
 */
const mostParts = 20_000;

/** A kubeconfig as nodes of YAML, which keep what is around them. */
export interface Root {
  readonly document: Document;
  readonly map: YAMLMap;
}

/**
 * Reads a kubeconfig's text; an empty one is a kubeconfig with nothing in it.
 *
 * @param name of the file, for sentences
 * @throws Failure (data) for what is no kubeconfig
 */
export function readRoot(text: string, name: string): Root {
  // The runtime's sign for what is not UTF-8: written again it would be another text.
  if (text.includes("\ufffd")) throw refused(name, "it is not UTF-8");
  if (countParts(text) > mostParts) throw refused(name, `it has more than ${mostParts} lines and fields`);
  const document: Document = parseDocument<Node>(text, asTexts);
  const [error] = document.errors;
  // Not its own words: they may quote a key.
  if (error !== undefined) throw refused(name, `line ${lineOf(text, error.pos[0])} is no YAML`);
  visit(document, {
    Node(_key, node, path) {
      if (path.length > deepest) throw refused(name, "it is nested too deep");
      const again = isMap(node) ? repeatedKey(node) : undefined;
      if (again !== undefined)
        throw refused(name, `line ${lineOf(text, again)} has a field for the second time`);
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

/** Where a map has a key for the second time. */
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
  if (!isSeq(list)) throw refused(name, `its ${kind}s are no list`);
  const names = list.items.map((entry) => (isMap(entry) ? textOf(entry.get("name", true)) : undefined));
  if (names.includes(undefined)) throw refused(name, `one of its ${kind}s has no name`);
  const seen = new Set<string | undefined>();
  const twice = names.find((it) => seen.size === seen.add(it).size);
  if (twice !== undefined) throw refused(name, `it has two ${kind}s ${JSON.stringify(twice)}`);
}

function refused(name: string, why: string): Failure {
  return new Failure("data", `${printable(name)} is not a kubeconfig: ${why}`, {
    hint: "nothing was changed; mend or remove it, or choose another path",
  });
}

/** What YAML takes for null, and kubectl for an empty list. */
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

/** Undefined for what is no text, or null. */
export function textOf(node: unknown): string | undefined {
  return isScalar(node) && !isNothing(node) ? String(node.value) : undefined;
}

/** The entries of a list, each with its name. */
export function entriesOf({ map }: Root, kind: Kind): YAMLMap[] {
  const list = map.get(`${kind}s`, true);
  return isSeq(list) ? list.items.filter((it) => isMap(it)) : [];
}

/** The first entry of a name; undefined where there is none. */
export function entryOf(root: Root, kind: Kind, name: string): YAMLMap | undefined {
  return entriesOf(root, kind).find((entry) => textOf(entry.get("name", true)) === name);
}

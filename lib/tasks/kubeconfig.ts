import { isMap, isSeq, parse, Scalar, visit, YAMLMap, YAMLSeq } from "yaml";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import {
  entriesOf,
  entryOf,
  isNothing,
  type Kind,
  kindNames,
  kinds,
  type Root,
  readRoot,
  textOf,
} from "./kubeconfig-nodes.ts";

/** What to write into a kubeconfig: a cluster, a user, and the context that joins the two. */
interface Access {
  readonly names: AccessNames;
  /** Base address of the API server. Undefined for the one already in the file, or `defaultServer` if there is none. */
  readonly server: string | undefined;
  /** Vault's address. The Go tool wrote it where the API server's belongs, so a file's server is ignored if it is this. */
  readonly vaultAddress: string;
  readonly namespace: string;
  readonly credentials: Credentials;
}

export interface AccessNames {
  readonly cluster: string;
  readonly user: string;
  readonly context: string;
}

/** PEM texts if they are embedded, else the paths of the files. */
export interface Credentials {
  readonly isEmbedded: boolean;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** A parsed kubeconfig. */
export interface Kubeconfig {
  /** The foreign entries and fields: those that are not ours to manage, each in a few words. */
  foreignParts(names: AccessNames): readonly string[];
  /** @returns the new text, or undefined if nothing has to change; and the address of the API server in it */
  put(access: Access): { readonly text: string | undefined; readonly server: string };
}

/** The address of an API server on its own host. */
const defaultServer = "https://127.0.0.1:6443";

const topFields = ["apiVersion", "clusters", "contexts", "current-context", "kind", "users"];

/**
 * Parses a kubeconfig. An empty text is an empty kubeconfig.
 *
 * @param name the file's name, for messages
 * @param checkTime called before each long step; throws if there is no time left for it
 * @throws Failure (data) if it is not a kubeconfig
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
export function readKubeconfig(text: string, name: string, checkTime = () => {}): Kubeconfig {
  const read = (text: string) => {
    checkTime();
    return readRoot(text, name);
  };
  const root = read(text);
  return {
    foreignParts: (names) => foreignParts(root, names),
    put(access) {
      const server = access.server ?? presentServer(root, access) ?? defaultServer;
      const wanted = { ...access, server };
      if (!change(root, wanted)) return { text: undefined, server };
      checkTime();
      return { text: written(root, text, wanted, { name, read }), server };
    },
  };
}

function foreignParts(root: Root, names: AccessNames): string[] {
  const isEmpty = (node: unknown) => isNothing(node) || (isMap(node) && node.items.length === 0);
  const others = (map: unknown, known: readonly string[]) =>
    isMap(map)
      ? map.items
          .filter(({ key, value }) => !known.includes(textOf(key) ?? "") && !isEmpty(value))
          .map(({ key }) => printable(textOf(key) ?? "a field"))
      : [];
  return [
    ...kindNames.flatMap((kind) =>
      entriesOf(root, kind)
        .map((entry) => textOf(entry.get("name", true)) ?? "")
        .filter((name) => name !== names[kind])
        .map((name) => `${kind} ${printable(name)}`),
    ),
    ...kindNames.flatMap((kind) => {
      const entry = entryOf(root, kind, names[kind]);
      return [...others(entry, ["name", kind]), ...others(entry?.get(kind, true), kinds[kind])].map(
        (field) => `${field} of ${kind} ${printable(names[kind])}`,
      );
    }),
    ...others(root.map, topFields),
  ];
}

function presentServer(root: Root, { names, vaultAddress }: Access): string | undefined {
  const cluster = entryOf(root, "cluster", names.cluster)?.get("cluster", true);
  const server = isMap(cluster) ? textOf(cluster.get("server", true)) : undefined;
  return server === undefined || originOf(server) === originOf(vaultAddress) ? undefined : server;
}

function originOf(address: string): string {
  return URL.canParse(address) ? new URL(address).origin : address;
}

type Wanted = Access & { readonly server: string };

/** Our fields that each entry should have. Our other fields should be missing. */
function fieldsOf({ server, names, namespace, credentials }: Wanted): Record<Kind, Record<string, string>> {
  const { isEmbedded, ca, certificate, key } = credentials;
  const field = (name: string, value: string) =>
    isEmbedded ? { [`${name}-data`]: Buffer.from(value).toString("base64") } : { [name]: value };
  return {
    cluster: { ...field("certificate-authority", ca), server },
    context: { cluster: names.cluster, namespace, user: names.user },
    user: { ...field("client-certificate", certificate), ...field("client-key", key) },
  };
}

/** Puts the access into the document. @returns whether anything had to change */
function change(root: Root, wanted: Wanted): boolean {
  const fields = fieldsOf(wanted);
  const { names } = wanted;
  const current = textOf(root.map.get("current-context", true));
  // Like kubectl: if the file already selects another context, it stays selected.
  const isOthers = current !== undefined && entryOf(root, "context", current) !== undefined;
  return [
    setText(root.map, "apiVersion", "v1"),
    setEntry(root, "cluster", names.cluster, fields.cluster),
    setEntry(root, "context", names.context, fields.context),
    !isOthers && setText(root.map, "current-context", names.context),
    setText(root.map, "kind", "Config"),
    setEntry(root, "user", names.user, fields.user),
  ].includes(true);
}

function setEntry(root: Root, kind: Kind, name: string, fields: Readonly<Record<string, string>>): boolean {
  const entry = entryOf(root, kind, name) ?? addEntry(root, kind, name);
  const inner: unknown = entry.get(kind, true);
  const map = isMap(inner) && inner.items.length > 0 ? inner : new YAMLMap();
  if (map !== inner) entry.set(kind, map);
  const surplus = kinds[kind].filter((field) => !(field in fields) && map.has(field));
  for (const field of surplus) map.delete(field);
  const changed = Object.entries(fields).map(([field, value]) => setText(map, field, value));
  return surplus.length > 0 || changed.includes(true);
}

function addEntry({ map }: Root, kind: Kind, name: string): YAMLMap {
  const entry = new YAMLMap();
  entry.set(kind, new YAMLMap());
  setText(entry, "name", name);
  const list: unknown = map.get(`${kind}s`, true);
  if (isSeq(list) && list.items.length > 0) list.add(entry);
  else {
    const made = new YAMLSeq();
    made.add(entry);
    map.set(`${kind}s`, made);
  }
  return entry;
}

function setText(map: YAMLMap, field: string, value: string): boolean {
  if (textOf(map.get(field, true)) === value) return false;
  const text = new Scalar(value);
  if (!meansItself(value)) text.type = Scalar.QUOTE_DOUBLE;
  map.set(field, text);
  return true;
}

/** Whether YAML reads a text as that string. Go accepts YAML 1.1 and 1.2, where `no`, `1e3` or `2026-01-01` need quotes. */
function meansItself(value: string): boolean {
  try {
    return (["1.1", "1.2"] as const).every(
      (version) => parse(value, { version, logLevel: "silent" }) === value,
    );
  } catch {
    return false;
  }
}

/** Writes the document, and reads it again: everything foreign in it must still mean the same. */
function written(
  root: Root,
  before: string,
  wanted: Wanted,
  { name, read }: { name: string; read: (text: string) => Root },
): string {
  // With an alias, changing one place would change another.
  visit(root.document, {
    Alias() {
      throw unchangeable(name);
    },
  });
  const text = root.document.toString({
    lineWidth: 0,
    doubleQuotedAsJSON: true,
    // Lists are indented as before, or as kubectl does it; JSON stays JSON.
    indentSeq: /^(?:clusters|contexts|users):[^\n]*\n[ \t]+-/m.test(before),
    defaultStringType: /^\s*\{/.test(before) ? Scalar.QUOTE_DOUBLE : Scalar.PLAIN,
  });
  const after = read(text);
  if (change(after, wanted) || others(read(before), wanted) !== others(after, wanted)) {
    throw unchangeable(name);
  }
  return text;
}

/** Everything foreign, as a text to compare. Removes everything of ours from the document. */
function others(root: Root, { names }: Wanted): string {
  const { document, map } = root;
  for (const kind of kindNames) {
    const entry = entryOf(root, kind, names[kind]);
    const inner: unknown = entry?.get(kind, true);
    if (isMap(inner)) for (const field of kinds[kind]) inner.delete(field);
    const isEmpty = isNothing(inner) || (isMap(inner) && inner.items.length === 0);
    if (isEmpty) entry?.delete(kind);
    const list: unknown = map.get(`${kind}s`, true);
    // Only its name is left.
    if (isSeq(list) && entry?.items.length === 1) list.items = list.items.filter((it) => it !== entry);
    if (isNothing(list) || (isSeq(list) && list.items.length === 0)) map.delete(`${kind}s`);
  }
  for (const field of ["apiVersion", "kind", "current-context"]) map.delete(field);
  return JSON.stringify(document.toJS());
}

function unchangeable(name: string): Failure {
  return new Failure("data", `${printable(name)} can't be changed without changing other entries in it`, {
    hint: "nothing was changed in it; write it without aliases (&, *), or choose another path",
  });
}

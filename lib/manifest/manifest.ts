import { basename, isAbsolute, resolve } from "node:path";
import { parseDuration } from "../duration.ts";
import { ExitCode, Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import type { Ownership } from "../host/durable.ts";
import { isExecutable } from "../host/executable.ts";
import { printable } from "../host/file-error.ts";
import { resolveOwnership } from "../host/owner.ts";
import type { Names } from "../x509/csr.ts";
import { chooseKeyType, type KeyType } from "../x509/key-type.ts";
import { checkNames } from "../x509/names.ts";
import { type Field, type FieldName, fields } from "./fields.ts";
import { type HostFacts, resolveSpecifiers } from "./specifiers.ts";
import { parseWindow, type Window } from "./window.ts";

/** Something to do when a certificate has changed. */
export type Hook =
  | { readonly kind: "reload" | "restart"; readonly unit: string }
  | { readonly kind: "command"; readonly command: readonly [string, ...string[]] };

/** One certificate that a host should have, as its file says. */
export interface Manifest {
  /** The file's, without its ending: what people know it by. */
  readonly name: string;
  readonly file: string;
  readonly signPath: string;
  readonly names: Names;
  readonly destination: string;
  readonly keyType: KeyType | undefined;
  readonly caChain: boolean;
  readonly owner: Ownership | undefined;
  readonly renew: "due" | "always";
  readonly windows: readonly Window[];
  readonly hooks: readonly Hook[];
  readonly hookTimeoutSeconds: number;
}

/**
 * Reads a manifest.
 *
 * @param file its path, for the name and for sentences
 * @throws Failure (configuration) that names file, line and field
 */
export function parseManifest(text: string, file: string, host: HostFacts): Manifest {
  const read = reader(parseToml(text, file), text, file, host);
  return {
    name: basename(file, ".toml"),
    file,
    signPath: readSignPath(read),
    names: readNames(read),
    destination: readDestination(read),
    keyType: readKeyType(read),
    caChain: read.truth("ca_chain"),
    owner: readOwner(read),
    renew: read.optionalText("renew") === "always" ? "always" : "due",
    windows: read.texts("window").map((window) => read.as("window", () => parseWindow(window))),
    hooks: readHooks(read),
    hookTimeoutSeconds: readHookTimeout(read),
  };
}

/** Whole segments, none of which a server could read as another path; the client refuses those again. */
const signPath = /^(?:(?!\.\.?\/)[^/\p{C}\\?#%]+\/)+sign\/(?!\.\.?$)[^/\p{C}\\?#%]+$/u;

function readSignPath(read: Reader): string {
  const path = read.text("sign_path");
  if (signPath.test(path)) return path;
  throw read.wrong("sign_path", "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet");
}

/** Each by itself, so that the sentence names the field that is wrong. */
function readNames(read: Reader): Names {
  const names: Names = {
    commonName: read.text("common_name"),
    organisations: read.texts("organisation"),
    dnsNames: read.texts("san_hosts"),
    ipAddresses: read.texts("ip_sans"),
  };
  const nothing: Names = { commonName: "any", organisations: [], dnsNames: [], ipAddresses: [] };
  const { commonName, organisations, dnsNames, ipAddresses } = names;
  read.as("common_name", () => checkNames({ ...nothing, commonName }));
  read.as("organisation", () => checkNames({ ...nothing, organisations }));
  read.as("san_hosts", () => checkNames({ ...nothing, dnsNames }));
  read.as("ip_sans", () => checkNames({ ...nothing, ipAddresses }));
  return names;
}

function readDestination(read: Reader): string {
  const destination = read.text("destination");
  if (!isAbsolute(destination))
    throw read.wrong("destination", "has to be a path from the root: a unit has no folder of its own");
  read.as("destination", () => certificatePaths(destination));
  return resolve(destination);
}

function readKeyType(read: Reader): KeyType | undefined {
  const [type, bits] = [read.optionalText("key_type"), read.optionalNumber("key_bit_size")];
  return read.as(bits === undefined ? "key_type" : "key_bit_size", () => chooseKeyType(type, bits));
}

function readOwner(read: Reader): Ownership | undefined {
  const [owner, group] = [read.optionalText("owner"), read.optionalText("group")];
  read.as("owner", () => resolveOwnership(owner, undefined));
  return read.as("group", () => resolveOwnership(owner, group));
}

function readHooks(read: Reader): Hook[] {
  const units = (kind: "reload" | "restart") =>
    read.texts(kind).map((unit): Hook => ({ kind, unit: checkUnit(read, kind, unit) }));
  return [
    ...units("reload"),
    ...units("restart"),
    ...read
      .commands("on_change")
      .map((command): Hook => ({ kind: "command", command: checkCommand(read, command) })),
  ];
}

const unitName =
  /^[\w:.@\\][\w:.@\\-]*\.(service|socket|target|timer|path|mount|automount|swap|slice|scope)$/;

function checkUnit(read: Reader, field: FieldName, unit: string): string {
  if (unitName.test(unit)) return unit;
  throw read.wrong(
    field,
    `names ${JSON.stringify(unit)}, which is not a unit: write its ending, too (etcd.service)`,
  );
}

function checkCommand(read: Reader, [program, ...rest]: readonly string[]): [string, ...string[]] {
  if (program === undefined) throw read.wrong("on_change", "holds an empty command");
  if (isAbsolute(program) && isExecutable(program)) return [program, ...rest];
  throw read.wrong(
    "on_change",
    `names ${JSON.stringify(program)}, which is not the whole path of an executable file`,
  );
}

function readHookTimeout(read: Reader): number {
  const seconds = read.as("hook_timeout", () => parseDuration(read.optionalText("hook_timeout") ?? "60s"));
  // Longer ones overflow the timer, and would end at once.
  if (seconds > 0 && seconds * 1000 < 2 ** 31) return seconds;
  throw read.wrong("hook_timeout", "has to be more than 0 and at most 24d");
}

function parseToml(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return { ...Bun.TOML.parse(text) };
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^TOML Parse error: /, "") : String(error);
    throw new Failure(ExitCode.config, `${printable(file)}:${brokenLine(text)}: it is not TOML: ${words}`);
  }
}

/** The runtime's parser tells no line: the broken statement begins after the longest part that it takes. */
function brokenLine(text: string): number {
  const lines = text.split("\n");
  for (let taken = lines.length - 1; taken > 0; taken--) {
    try {
      Bun.TOML.parse(lines.slice(0, taken).join("\n"));
      return taken + 1;
    } catch {
      // shorter, then
    }
  }
  return 1;
}

type Reader = ReturnType<typeof reader>;

/** Gives each field in the type that its table says, resolved, or tells where it is wrong. */
function reader(values: Readonly<Record<string, unknown>>, text: string, file: string, host: HostFacts) {
  const wrong = (field: string, how: string, cause?: Failure) =>
    new Failure(ExitCode.config, `${placeOf(field, text, file)} ${how}`, { cause, hint: cause?.hint });
  for (const [field, value] of Object.entries(values)) {
    const spec = isFieldName(field) ? fields[field] : undefined;
    if (spec === undefined) throw wrong(field, "is not a field of a manifest");
    const fault = mismatch(spec, value);
    if (fault !== undefined) throw wrong(field, fault);
  }
  /** Runs what reads a value further: what is wrong with it is said with its place. */
  const as = <T>(field: FieldName, parse: () => T): T => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw wrong(field, `can't be right: ${error.message}`, error);
    }
  };
  const resolved = (field: FieldName, value: string) => {
    const { specifiers }: Field = fields[field];
    return specifiers === true ? as(field, () => resolveSpecifiers(value, host)) : value;
  };
  const optionalText = (field: FieldName): string | undefined => {
    const value = values[field];
    return typeof value === "string" ? resolved(field, value) : undefined;
  };
  return {
    wrong,
    as,
    optionalText,
    text: (field: FieldName) => optionalText(field) ?? fail(wrong(field, "is missing")),
    optionalNumber: (field: FieldName) =>
      typeof values[field] === "number" ? String(values[field]) : undefined,
    truth: (field: FieldName) => values[field] === true,
    texts: (field: FieldName): readonly string[] =>
      toTexts(values[field]).map((value) => resolved(field, value)),
    commands: (field: FieldName): ReadonlyArray<readonly string[]> =>
      Array.isArray(values[field]) ? values[field].map(toTexts) : [],
  };
}

function isFieldName(field: string): field is FieldName {
  return Object.hasOwn(fields, field);
}

function fail(failure: Failure): never {
  throw failure;
}

function toTexts(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.map(String) : [];
}

/** Undefined where the value is what the field takes. A list of texts may be one text. */
function mismatch({ type, choices }: Field, value: unknown): string | undefined {
  const isText = (it: unknown) => typeof it === "string" && it !== "";
  const isTexts = (it: unknown) => Array.isArray(it) && it.every(isText);
  const right = {
    text: () => isText(value),
    texts: () => isText(value) || isTexts(value),
    number: () => Number.isSafeInteger(value),
    truth: () => typeof value === "boolean",
    commands: () => Array.isArray(value) && value.every(isTexts),
  }[type]();
  const kinds: Record<Field["type"], string> = {
    text: "a text",
    texts: "a list of texts",
    number: "a whole number",
    truth: "true or false",
    commands: "a list of commands, each a list of texts",
  };
  if (!right) return `has to be ${kinds[type]}`;
  return choices === undefined || choices.includes(String(value))
    ? undefined
    : `has to be one of ${choices.join(", ")}`;
}

/** `/etc/vault/certs.d/etcd.toml:3: destination`; the first line for one that is missing. */
export function placeOf(field: string, text: string, file: string): string {
  const key = /^\s*\[{0,2}\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))/;
  const line = text.split("\n").findIndex((it) => key.exec(it)?.slice(1).includes(field));
  return `${printable(file)}:${Math.max(line, 0) + 1}: ${printable(field)}`;
}

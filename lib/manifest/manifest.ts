import { basename, isAbsolute, resolve } from "node:path";
import { parseDuration } from "../duration.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import type { Ownership } from "../host/durable.ts";
import { isExecutable } from "../host/executable.ts";
import { defaultKeyMode, readKeyMode } from "../host/key-mode.ts";
import { resolveOwnership } from "../host/owner.ts";
import { locationOf, parseToml } from "../toml/parse.ts";
import { createReader, type Reader as ReaderOf } from "../toml/reader.ts";
import { chooseKeyType, type KeyType } from "../x509/key-type.ts";
import { checkNames, type Names } from "../x509/names.ts";
import { type FieldName, fields } from "./fields.ts";
import { type HostFacts, resolveSpecifiers } from "./specifiers.ts";
import { parseWindow, type Window } from "./window.ts";

/** What to do after a certificate has changed. */
export type Hook =
  | {
      readonly kind: "reload" | "restart";
      readonly unit: string;
      /** Only if the CA file has changed. */
      readonly onCaOnly: boolean;
    }
  | { readonly kind: "command"; readonly command: readonly [string, ...string[]] };

/** A certificate that a host should have, as its file describes it. */
export interface Manifest {
  /** The file's name without its ending. */
  readonly name: string;
  readonly file: string;
  readonly signPath: string;
  readonly names: Names;
  readonly destination: string;
  readonly keyType: KeyType | undefined;
  readonly caChain: boolean;
  readonly owner: Ownership | undefined;
  /** The mode of the key file. */
  readonly keyMode: number;
  readonly renew: "due" | "always";
  readonly windows: readonly Window[];
  readonly hooks: readonly Hook[];
  readonly hookTimeoutSeconds: number;
}

type Reader = ReaderOf<typeof fields>;

/**
 * Reads a manifest.
 *
 * @param file its path, for the name and for messages
 * @throws Failure (config) that names the file, line and field
 */
export function parseManifest(text: string, file: string, host: HostFacts): Manifest {
  const read = createReader(fields, {
    what: "a manifest",
    values: parseToml(text, file),
    location: (field) => locationOf(field, text, file),
    resolve: (value) => resolveSpecifiers(value, host),
  });
  return {
    name: basename(file, ".toml"),
    file,
    signPath: readSignPath(read),
    names: readNames(read),
    destination: readDestination(read),
    keyType: readKeyType(read),
    caChain: read.boolean("ca_chain") ?? false,
    owner: readOwner(read),
    keyMode: readKeyMode(read.optionalString("key_mode")) ?? defaultKeyMode,
    renew: read.optionalString("renew") === "always" ? "always" : "due",
    windows: read.strings("window").map((window) => read.checked("window", () => parseWindow(window))),
    hooks: readHooks(read),
    hookTimeoutSeconds: readHookTimeout(read),
  };
}

/** MOUNT/sign/ROLE without segments that a server could resolve to another path. The client checks that once more. */
const signPath = /^(?:(?!\.\.?\/)[^/\\?#%]+\/)+sign\/(?!\.\.?$)[^/\\?#%]+$/;

function readSignPath(read: Reader): string {
  const path = read.string("sign_path");
  // Building the Unicode pattern takes time, and most paths don't need it.
  const isVisible = /^[ -~]*$/.test(path) || !/\p{C}/u.test(path);
  if (isVisible && signPath.test(path)) return path;
  throw read.wrong("sign_path", "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet");
}

/** Checks each field by itself, so that the message names the wrong one. */
function readNames(read: Reader): Names {
  const names: Names = {
    commonName: read.string("common_name"),
    organisations: read.strings("organisation"),
    dnsNames: read.strings("san_hosts"),
    ipAddresses: read.strings("ip_sans"),
  };
  const nothing: Names = { commonName: "any", organisations: [], dnsNames: [], ipAddresses: [] };
  const { commonName, organisations, dnsNames, ipAddresses } = names;
  read.checked("common_name", () => checkNames({ ...nothing, commonName }));
  read.checked("organisation", () => checkNames({ ...nothing, organisations }));
  read.checked("san_hosts", () => checkNames({ ...nothing, dnsNames }));
  read.checked("ip_sans", () => checkNames({ ...nothing, ipAddresses }));
  return checkNames(names);
}

function readDestination(read: Reader): string {
  const destination = read.string("destination");
  if (!isAbsolute(destination))
    throw read.wrong("destination", "has to be an absolute path, since units have no working folder");
  read.checked("destination", () => certificatePaths(destination));
  return resolve(destination);
}

function readKeyType(read: Reader): KeyType | undefined {
  const [type, bits] = [read.optionalString("key_type"), read.optionalNumber("key_bit_size")?.toString()];
  return read.checked(bits === undefined ? "key_type" : "key_bit_size", () => chooseKeyType(type, bits));
}

function readOwner(read: Reader): Ownership | undefined {
  const [owner, group] = [read.optionalString("owner"), read.optionalString("group")];
  read.checked("owner", () => resolveOwnership(owner, undefined));
  return read.checked("group", () => resolveOwnership(owner, group));
}

function readHooks(read: Reader): Hook[] {
  const units = (kind: "reload" | "restart", field: FieldName) =>
    read
      .strings(field)
      .map((unit): Hook => ({ kind, unit: checkUnit(read, field, unit), onCaOnly: field !== kind }));
  return [
    ...units("reload", "reload"),
    ...units("restart", "restart"),
    ...units("reload", "reload_on_ca"),
    ...units("restart", "restart_on_ca"),
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
    `names ${JSON.stringify(unit)}, which is not a unit: write its full name, like etcd.service`,
  );
}

function checkCommand(read: Reader, [program, ...rest]: readonly string[]): [string, ...string[]] {
  if (program === undefined) throw read.wrong("on_change", "holds an empty command");
  if (rest.some((word) => word.includes("\0")))
    throw read.wrong("on_change", "holds a null character, which can't be passed to a program");
  if (isAbsolute(program) && isExecutable(program)) return [program, ...rest];
  throw read.wrong(
    "on_change",
    `names ${JSON.stringify(program)}, which is not the absolute path of an executable file`,
  );
}

function readHookTimeout(read: Reader): number {
  const seconds = read.checked("hook_timeout", () =>
    parseDuration(read.optionalString("hook_timeout") ?? "60s"),
  );
  // A longer time would overflow the timer, which would then fire at once.
  if (seconds > 0 && seconds * 1000 < 2 ** 31) return seconds;
  throw read.wrong("hook_timeout", "has to be more than 0 and at most 24d");
}

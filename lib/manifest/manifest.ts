import { accessSync, constants } from "node:fs";
import { basename, isAbsolute } from "node:path";
import { parseDuration } from "../duration.ts";
import { ExitCode, Failure } from "../failure.ts";
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
  readonly owner: string | undefined;
  readonly group: string | undefined;
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
  const read = reader(parseToml(text, file), text, file);
  const resolved = (field: FieldName, value: string) => read.as(field, () => resolveSpecifiers(value, host));
  const list = (field: FieldName) => read.texts(field).map((item) => resolved(field, item));
  const destination = resolved("destination", read.text("destination"));
  if (!isAbsolute(destination))
    throw read.wrong("destination", "has to be a path from the root: a unit has no folder of its own");
  const names = read.as("common_name", () =>
    checkNames({
      commonName: resolved("common_name", read.text("common_name")),
      organisations: list("organisation"),
      dnsNames: list("san_hosts"),
      ipAddresses: list("ip_sans"),
    }),
  );
  const timeout = read.optionalText("hook_timeout") ?? "60s";
  return {
    name: basename(file, ".toml"),
    file,
    signPath: read.text("sign_path"),
    names,
    destination,
    keyType: read.as("key_type", () =>
      chooseKeyType(read.optionalText("key_type"), read.optionalNumber("key_bit_size")),
    ),
    caChain: read.truth("ca_chain"),
    owner: read.optionalText("owner"),
    group: read.optionalText("group"),
    renew: read.optionalText("renew") === "always" ? "always" : "due",
    windows: read.texts("window").map((window) => read.as("window", () => parseWindow(window))),
    hooks: [
      ...read.texts("reload").map((unit): Hook => ({ kind: "reload", unit: read.unit("reload", unit) })),
      ...read.texts("restart").map((unit): Hook => ({ kind: "restart", unit: read.unit("restart", unit) })),
      ...read.commands("on_change").map((command): Hook => ({ kind: "command", command })),
    ],
    hookTimeoutSeconds: read.as("hook_timeout", () => parseDuration(timeout)),
  };
}

function parseToml(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    return { ...Bun.TOML.parse(text) };
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^TOML Parse error: /, "") : String(error);
    throw new Failure(ExitCode.config, `${file}:${brokenLine(text)}: it is not TOML: ${words}`);
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

/** Gives each field in the type that its table says, or tells where it is wrong. */
function reader(values: Readonly<Record<string, unknown>>, text: string, file: string) {
  const wrong = (field: string, how: string, cause?: Failure) =>
    new Failure(ExitCode.config, `${file}:${lineOf(field, text)}: ${field} ${how}`, {
      cause,
      hint: cause?.hint,
    });
  for (const [field, value] of Object.entries(values)) {
    const spec: Field | undefined = Object.hasOwn(fields, field) ? fields[field as FieldName] : undefined;
    if (spec === undefined) throw wrong(field, "is not a field of a manifest");
    const fault = mismatch(spec, value);
    if (fault !== undefined) throw wrong(field, fault);
  }
  const optionalText = (field: FieldName): string | undefined => {
    const value = values[field];
    return typeof value === "string" ? value : undefined;
  };
  return {
    wrong,
    optionalText,
    text: (field: FieldName) => optionalText(field) ?? fail(wrong(field, "is missing")),
    optionalNumber: (field: FieldName) =>
      typeof values[field] === "number" ? String(values[field]) : undefined,
    truth: (field: FieldName) => values[field] === true,
    texts: (field: FieldName): readonly string[] => toTexts(values[field]),
    commands(field: FieldName): ReadonlyArray<readonly [string, ...string[]]> {
      const commands = Array.isArray(values[field]) ? values[field].map(toTexts) : [];
      return commands.map(([program, ...rest]) => {
        if (program === undefined) throw wrong(field, "holds an empty command");
        if (!isAbsolute(program) || !isExecutable(program)) {
          throw wrong(
            field,
            `names ${JSON.stringify(program)}, which is not the whole path of an executable file`,
          );
        }
        return [program, ...rest];
      });
    },
    unit(field: FieldName, unit: string): string {
      if (/^[A-Za-z0-9:_.@\\-]+\.[a-z]+$/.test(unit) && !unit.startsWith("-")) return unit;
      throw wrong(
        field,
        `names ${JSON.stringify(unit)}, which is not a unit: write its ending, too (etcd.service)`,
      );
    },
    /** A value that is read further: what is wrong with it is said with its place. */
    as<T>(field: FieldName, parse: () => T): T {
      try {
        return parse();
      } catch (error) {
        if (!(error instanceof Failure) || error.message.startsWith(`${file}:`)) throw error;
        throw wrong(field, `can't be right: ${error.message}`, error);
      }
    },
  };
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

function lineOf(field: string, text: string): number {
  const at = text.split("\n").findIndex((line) => line.trimStart().startsWith(field));
  return at === -1 ? 1 : at + 1;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

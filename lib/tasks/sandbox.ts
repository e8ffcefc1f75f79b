import { posix } from "node:path";

/** What a unit sees of the host's files, by the settings that `systemctl show` prints. */
export interface Sandbox {
  readonly rules: readonly Rule[];
  /** Where its files are: `/`, or the folder that it takes for the root. */
  readonly root: string;
  /** What it would be let at, and is not there. */
  readonly missing: readonly string[];
}

/** How far a unit gets at a path. */
type Access = "write" | "read" | "none";

interface Rule {
  /** As the unit names it. */
  readonly path: string;
  readonly access: Access;
  /** What is put there, by its path on the host; undefined where it stays what it is. */
  readonly source?: string;
  /** Nothing below it can be let in again. */
  readonly isFinal?: boolean;
}

/** What is at a path of the host: nothing, a link with its target, or something else. */
export type Look = (hostPath: string) => "missing" | "there" | { readonly target: string };

export const sandboxProperties: readonly string[] = [
  ...["RootDirectory", "RootImage", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"],
  ...["ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ProtectSystem", "ProtectHome", "PrivateTmp"],
  ...["StateDirectory", "CacheDirectory", "LogsDirectory", "RuntimeDirectory", "ConfigurationDirectory"],
];

const homes = ["/home", "/root", "/run/user"];
const systems: Readonly<Record<string, readonly string[]>> = {
  yes: ["/usr", "/boot", "/efi"],
  full: ["/usr", "/boot", "/efi", "/etc"],
  strict: ["/"],
};
const foldersOfUnits: Readonly<Record<string, string>> = {
  StateDirectory: "/var/lib",
  CacheDirectory: "/var/cache",
  LogsDirectory: "/var/log",
  RuntimeDirectory: "/run",
  ConfigurationDirectory: "/etc",
};

/**
 * Reads a unit's settings about files.
 *
 * @returns undefined for one with an image of its own, of which nothing can be told from here
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Sandboxing
 */
export function readSandbox(properties: Readonly<Record<string, string>>, look: Look): Sandbox | undefined {
  const words = (name: string) => (properties[name] ?? "").split(" ").filter(Boolean);
  if (properties.RootImage) return undefined;
  const root = properties.RootDirectory || "/";
  const bound = (name: string, access: Access) =>
    words(name).flatMap((word): Rule[] => {
      const [source = "", path = source] = word.replace(/^-/, "").split(":");
      return word.startsWith("-") && look(source) === "missing" ? [] : [{ path, access, source }];
    });
  /** Without a plus they are the host's, which a unit with a root of its own does not see. */
  const paths = (name: string, access: Access, isFinal = false) =>
    words(name).flatMap((word): Rule[] => {
      const [, marks = "", path = ""] = /^([-+]*)(.*)$/.exec(word) ?? [];
      return root === "/" || marks.includes("+") ? [{ path, access, isFinal }] : [];
    });
  const each = (list: readonly string[], access: Access, isFinal = false): Rule[] =>
    list.map((path) => ({ path, access, isFinal }));
  const { ProtectHome: home = "no" } = properties;
  const rules = [
    // The first of two for one path is the stricter.
    ...paths("InaccessiblePaths", "none", true),
    ...(home === "yes" ? each(homes, "none", true) : home === "read-only" ? each(homes, "read") : []),
    ...(home === "tmpfs" ? each(homes, "none") : []),
    ...(["yes", "connected", "disconnected"].includes(properties.PrivateTmp ?? "")
      ? each(["/tmp", "/var/tmp"], "none")
      : []),
    ...words("TemporaryFileSystem").map((word): Rule => ({ path: word.split(":")[0] ?? "", access: "none" })),
    ...paths("ReadOnlyPaths", "read"),
    ...bound("BindReadOnlyPaths", "read"),
    ...bound("BindPaths", "write"),
    ...paths("ReadWritePaths", "write"),
    ...Object.entries(foldersOfUnits).flatMap(([name, parent]) =>
      words(name).map((word): Rule => {
        const path = posix.join(parent, word.split(":")[0] ?? "");
        return { path, access: "write", source: path };
      }),
    ),
    ...each(systems[properties.ProtectSystem ?? "no"] ?? [], "read"),
  ];
  const missing = ["BindPaths", "BindReadOnlyPaths"].flatMap(words).flatMap((word) => {
    const [source = "", path = source] = word.replace(/^-/, "").split(":");
    return look(source) === "missing" ? [path] : [];
  });
  return { rules, root, missing };
}

/** The rules for a path and all that it is in, the nearest first. */
function rulesFor({ rules }: Sandbox, path: string): readonly Rule[] {
  const depth = (rule: Rule) => (rule.path === "/" ? 0 : rule.path.split("/").length);
  return rules.filter((rule) => isWithin(path, rule.path)).toSorted((a, b) => depth(b) - depth(a));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

function accessTo(sandbox: Sandbox, path: string): Access {
  const found = rulesFor(sandbox, path);
  // A root of its own holds nothing of the host but what is put there, and what is left of its mount points.
  const isOwn = sandbox.root !== "/" && !found.some(({ source }) => source !== undefined);
  if (isOwn || found.some(({ isFinal }) => isFinal)) return "none";
  return found[0]?.access ?? "write";
}

/** Where a path that a unit names is on the host. */
function hostPath(sandbox: Sandbox, path: string): string {
  const bound = rulesFor(sandbox, path).find(({ source }) => source !== undefined);
  if (bound?.source === undefined) return posix.join(sandbox.root, path);
  return posix.join(bound.source, path.slice(bound.path === "/" ? 0 : bound.path.length));
}

/** Links that lead to each other end somewhere. */
const mostLinks = 40;

/** How far a unit gets, and at what: where links lead to from its view. */
interface Reach {
  readonly access: Access;
  readonly path: string;
}

/**
 * How far a unit gets at a file or folder by its path, through every link on the way; for one that is missing, whether it
 * could make it.
 */
export function reach(sandbox: Sandbox, path: string, look: Look): Reach {
  let [done, rest] = ["/", path.split("/").filter(Boolean)];
  for (let links = 0; links < mostLinks; ) {
    const [name, ...further] = rest;
    if (name === undefined) return { access: accessTo(sandbox, done), path: done };
    const next = posix.join(done, name);
    const whole = posix.join(next, ...further);
    const isMounted = sandbox.rules.some((rule) => rule.source !== undefined && rule.path === next);
    const isHidden = accessTo(sandbox, next) === "none";
    const isOnTheWay = sandbox.rules.some((rule) => rule.access !== "none" && isWithin(rule.path, next));
    if (isHidden && !isOnTheWay) return { access: "none", path: whole };
    // What is mounted there is what its source leads to, and the way there is made for it.
    const found = isMounted || isHidden ? "there" : look(hostPath(sandbox, next));
    if (found === "missing") {
      const isMade = accessTo(sandbox, done) === "write";
      return { access: isMade ? accessTo(sandbox, whole) : "none", path: whole };
    }
    if (found === "there") {
      [done, rest] = [next, further];
    } else {
      links++;
      const target = posix.resolve(done, found.target);
      [done, rest] = ["/", [...target.split("/").filter(Boolean), ...further]];
    }
  }
  return { access: "none", path };
}

/** The settings of a drop-in that lets a unit at a path. */
export function settingsFor(
  sandboxes: readonly Sandbox[],
  path: string,
  wanted: "write" | "read",
): readonly string[] {
  const final = sandboxes.flatMap(({ rules }) =>
    rules.filter((rule) => rule.isFinal && isWithin(path, rule.path)),
  );
  const isInHome = homes.some((home) => isWithin(path, home));
  return [
    ...(isInHome && final.some((rule) => homes.includes(rule.path)) ? ["ProtectHome=tmpfs"] : []),
    // A list that is reset: nothing in it can be taken back by itself.
    ...(final.some((rule) => !homes.includes(rule.path)) ? ["InaccessiblePaths="] : []),
    wanted === "write" ? `BindPaths=${path}` : `BindReadOnlyPaths=${path}`,
  ];
}

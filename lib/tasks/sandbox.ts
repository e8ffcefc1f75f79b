import { posix } from "node:path";

/** Which of the host's files a unit can access, by the settings that `systemctl show` prints. */
export interface Sandbox {
  readonly rules: readonly Rule[];
  /** The unit's root folder on the host: `/`, or the one from `RootDirectory`. */
  readonly root: string;
  /** Paths that the unit has in `BindPaths` or `BindReadOnlyPaths`, but that don't exist on the host. */
  readonly missing: readonly string[];
}

/** What a unit can do with a path. */
type AccessLevel = "write" | "read" | "none";

interface Rule {
  /** The path as the unit sees it. */
  readonly path: string;
  readonly access: AccessLevel;
  /** The host's path that is mounted there; undefined if nothing is. */
  readonly source?: string;
  /** Whether no other rule can allow anything below it. */
  readonly isFinal?: boolean;
}

/** Examines a path of the host: it is missing, a link with its target, or something else. */
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
 * @returns undefined for a unit with its own image, whose files can't be seen from here
 * @see https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Sandboxing
 */
export function readSandbox(properties: Readonly<Record<string, string>>, look: Look): Sandbox | undefined {
  const words = (name: string) => (properties[name] ?? "").split(" ").filter(Boolean);
  if (properties.RootImage) return undefined;
  const root = properties.RootDirectory || "/";
  const bound = (name: string, access: AccessLevel) =>
    words(name).flatMap((word): Rule[] => {
      const [source = "", path = source] = word.replace(/^-/, "").split(":");
      return word.startsWith("-") && look(source) === "missing" ? [] : [{ path, access, source }];
    });
  /** Paths without a plus are the host's. A unit with its own root does not see those. */
  const paths = (name: string, access: AccessLevel, isFinal = false) =>
    words(name).flatMap((word): Rule[] => {
      const [, marks = "", path = ""] = /^([-+]*)(.*)$/.exec(word) ?? [];
      return root === "/" || marks.includes("+") ? [{ path, access, isFinal }] : [];
    });
  const each = (list: readonly string[], access: AccessLevel, isFinal = false): Rule[] =>
    list.map((path) => ({ path, access, isFinal }));
  const { ProtectHome: home = "no" } = properties;
  const rules = [
    // If a path has two rules, the first one counts. So stricter ones come first.
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

/** The rules for a path and for the folders above it, the nearest first. */
function rulesFor({ rules }: Sandbox, path: string): readonly Rule[] {
  const depth = (rule: Rule) => (rule.path === "/" ? 0 : rule.path.split("/").length);
  return rules.filter((rule) => isWithin(path, rule.path)).toSorted((a, b) => depth(b) - depth(a));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}

function accessTo(sandbox: Sandbox, path: string): AccessLevel {
  const found = rulesFor(sandbox, path);
  // A unit with its own root sees only those files of the host that are mounted there.
  const isOwn = sandbox.root !== "/" && !found.some(({ source }) => source !== undefined);
  if (isOwn || found.some(({ isFinal }) => isFinal)) return "none";
  return found[0]?.access ?? "write";
}

/** The host's path for a path that a unit sees. */
function hostPath(sandbox: Sandbox, path: string): string {
  const bound = rulesFor(sandbox, path).find(({ source }) => source !== undefined);
  if (bound?.source === undefined) return posix.join(sandbox.root, path);
  return posix.join(bound.source, path.slice(bound.path === "/" ? 0 : bound.path.length));
}

/** Ends the search when links lead to each other. */
const mostLinks = 40;

/** What a unit can do with a path, and where the path's links lead to as the unit sees them. */
interface Reach {
  readonly access: AccessLevel;
  readonly path: string;
}

/**
 * What a unit can do with a file or folder, through every link on the path. For a missing one: whether the unit could
 * make it.
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
    // A mounted path is of its source's kind; the folders above it are made for the mount.
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

/** The settings of a drop-in that allows a path. */
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
    // The whole list is reset, because a single entry can't be removed.
    ...(final.some((rule) => !homes.includes(rule.path)) ? ["InaccessiblePaths="] : []),
    wanted === "write" ? `BindPaths=${path}` : `BindReadOnlyPaths=${path}`,
  ];
}

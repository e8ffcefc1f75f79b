import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ExitCode, Failure } from "../failure.ts";
import { createFile, type Ownership, removeTemporaries, replaceLink, syncFolder } from "./durable.ts";
import { errorCode, fileError, printable } from "./file-error.ts";
import { readSmallFile } from "./read-file.ts";

/**
 * A key, its certificate and the CA, kept so that all three change at one moment.
 *
 *     kubelet-key.pem -> .kubelet.set/current/key.pem
 *     kubelet.pem     -> .kubelet.set/current/cert.pem
 *     kubelet-ca.pem  -> .kubelet.set/current/ca.pem
 *     .kubelet.set/current -> 20261124T101500Z-6f1c2a
 *
 * The names that services read are links through `current`, and replacing that one link, which rename(2) does at
 * one moment, replaces the set. Links are relative, so a container that mounts the folder follows them, too. The set
 * before is kept until the next one: a reader on its way through the old link still finds its file.
 */
const members = {
  key: { suffix: "-key.pem", name: "key.pem", mode: 0o600 },
  certificate: { suffix: ".pem", name: "cert.pem", mode: 0o644 },
  ca: { suffix: "-ca.pem", name: "ca.pem", mode: 0o644 },
} as const;

type Member = keyof typeof members;
const memberNames: readonly Member[] = ["key", "certificate", "ca"];

/** What was asked for when the set was issued, beside the three. */
const requestName = "request.json";

export interface SetFiles {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
  /** JSON. */
  readonly request: string;
}

/** A set as it stands: those of its files that are there. */
export interface StoredSet extends Partial<SetFiles> {
  /** Of the key; undefined where there is none. */
  readonly owner?: Ownership;
}

interface SetPaths {
  readonly folder: string;
  readonly base: string;
  readonly outer: Readonly<Record<Member, string>>;
  readonly set: string;
  readonly current: string;
}

/** Longer than any chain that a server would give. */
const maxBytes = 256 * 1024;

function setPaths(destination: string): SetPaths {
  const path = resolve(destination);
  const [folder, base] = [dirname(path), basename(path)];
  if (base === "" || destination.endsWith("/") || base.startsWith("-")) {
    throw new Failure(ExitCode.usage, `${JSON.stringify(destination)} can't be a certificate's destination`, {
      hint: "give the path without its ending: /etc/kubernetes/ssl/kubelet for kubelet.pem and its two beside it",
    });
  }
  const set = join(folder, `.${base}.set`);
  return {
    folder,
    base,
    outer: {
      key: path + members.key.suffix,
      certificate: path + members.certificate.suffix,
      ca: path + members.ca.suffix,
    },
    set,
    current: join(set, "current"),
  };
}

/** The paths of the three files that services read. */
export function certificatePaths(destination: string): Readonly<Record<Member, string>> {
  return setPaths(destination).outer;
}

/**
 * Reads what stands at a destination: plain files, as the Go tool left them, or a set.
 *
 * @throws Failure (can't write) when something stands there that is not ours to replace
 */
export function readSet(destination: string): StoredSet {
  const paths = setPaths(destination);
  const [key, certificate, ca] = memberNames.map((member) => readMember(paths, member));
  const request = readSmallFile(join(paths.current, requestName), maxBytes);
  return {
    ...(key === undefined ? {} : { key: key.text, owner: { uid: key.stats.uid, gid: key.stats.gid } }),
    ...(certificate === undefined ? {} : { certificate: certificate.text }),
    ...(ca === undefined ? {} : { ca: ca.text }),
    // Plain files that replaced the links since are not what it speaks of.
    ...(request === undefined || !memberNames.every((it) => isOurLink(paths, it))
      ? {}
      : { request: request.text }),
  };
}

function readMember(paths: SetPaths, member: Member) {
  const path = paths.outer[member];
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (stats.isSymbolicLink() && !isOurLink(paths, member)) {
    throw new Failure(
      ExitCode.cantCreate,
      `${printable(path)} is a symbolic link to ${printable(readlinkSync(path))}, which this tool did not make`,
      { hint: "nothing was changed; remove it, or choose another destination" },
    );
  }
  return readSmallFile(path, maxBytes);
}

function linkTarget(paths: SetPaths, member: Member): string {
  return join(basename(paths.set), basename(paths.current), members[member].name);
}

function isOurLink(paths: SetPaths, member: Member): boolean {
  try {
    return readlinkSync(paths.outer[member]) === linkTarget(paths, member);
  } catch {
    return false;
  }
}

/**
 * Makes the folders of a destination where they are missing, and gives the path for its lock.
 *
 * @throws Failure (can't write)
 */
export function prepareSet(destination: string, owner?: Ownership): string {
  const paths = setPaths(destination);
  return guard("make the folder", paths.folder, () => {
    makeFolders(paths.folder, owner);
    makeFolder(paths.set, 0o755);
    if (!lstatSync(paths.set).isDirectory()) {
      throw new Failure(ExitCode.cantCreate, `${printable(paths.set)} is not a folder`);
    }
    return join(paths.set, "lock");
  });
}

/** Every missing folder of a path, 0750 and its owner's; those that are there stay as they are. */
function makeFolders(path: string, owner: Ownership | undefined): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolders(dirname(path), owner);
  if (makeFolder(path, 0o750) && owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

function makeFolder(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
  chmodSync(path, mode); // the umask may have taken from it
  syncFolder(dirname(path));
  return true;
}

/**
 * Puts a new set in the place of what stands, at one moment. The caller holds the lock that `prepareSet` named.
 *
 * Stopped anywhere, readers find the old files or the new ones, and the next call cleans up.
 *
 * @throws Failure (can't write); then the old files stand
 */
export function replaceSet(destination: string, files: SetFiles, owner: Ownership | undefined): void {
  const paths = setPaths(destination);
  guard("write the certificate", paths.outer.certificate, () => {
    for (const path of [...Object.values(paths.outer), paths.current]) removeTemporaries(path);
    const before = currentVersion(paths);
    removeVersions(paths, [before]);
    if (!memberNames.every((member) => isOurLink(paths, member))) adopt(paths);
    const standing = currentVersion(paths);
    const version = writeVersion(paths, files, owner);
    replaceLink(paths.current, version);
    removeVersions(paths, [standing, version]);
  });
}

/**
 * Turns plain files into links to copies of them: what readers find stays the same at each step, and is behind the
 * one link that can be switched in the end. Names without a file become links to nothing, which is no file still.
 */
function adopt(paths: SetPaths): void {
  const standing = memberNames.flatMap((member) => {
    const file = readMember(paths, member);
    return file === undefined ? [] : [[member, file] as const];
  });
  if (standing.length === 0) rmSync(paths.current, { force: true });
  else {
    const version = makeVersion(paths);
    for (const [member, { text, stats }] of standing) {
      const owner = { uid: stats.uid, gid: stats.gid };
      createFile(join(paths.set, version, members[member].name), text, { mode: members[member].mode, owner });
    }
    finishVersion(paths, version);
    replaceLink(paths.current, version);
  }
  for (const member of memberNames) {
    if (!isOurLink(paths, member)) replaceLink(paths.outer[member], linkTarget(paths, member));
  }
}

function writeVersion(paths: SetPaths, files: SetFiles, owner: Ownership | undefined): string {
  const version = makeVersion(paths);
  const folder = join(paths.set, version);
  for (const member of memberNames) {
    createFile(join(folder, members[member].name), files[member], { mode: members[member].mode, owner });
  }
  createFile(join(folder, requestName), files.request, { mode: 0o644, owner });
  finishVersion(paths, version);
  return version;
}

function makeVersion(paths: SetPaths): string {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const version = `${stamp}-${randomBytes(3).toString("hex")}`;
  mkdirSync(join(paths.set, version), { mode: 0o700 });
  return version;
}

/** Opens the folder to readers and brings it to the disk, before anything points to it. */
function finishVersion(paths: SetPaths, version: string): void {
  chmodSync(join(paths.set, version), 0o755);
  syncFolder(join(paths.set, version));
  syncFolder(paths.set);
}

function currentVersion(paths: SetPaths): string | undefined {
  try {
    return readlinkSync(paths.current);
  } catch {
    return undefined;
  }
}

function removeVersions(paths: SetPaths, kept: ReadonlyArray<string | undefined>): void {
  for (const name of readdirSync(paths.set)) {
    if (/^\d{8}T\d{6}Z-[0-9a-f]{6}$/.test(name) && !kept.includes(name)) {
      rmSync(join(paths.set, name), { recursive: true, force: true });
    }
  }
}

/**
 * Sets mode and owner of the three files where they are not as they should be, and touches nothing else.
 *
 * @returns the paths that were mended
 * @throws Failure (can't write)
 */
export function mendAttributes(destination: string, owner: Ownership | undefined): readonly string[] {
  const { outer } = setPaths(destination);
  return memberNames.flatMap((member) =>
    guard("set the owner and mode of", outer[member], () => {
      const stats = statSync(outer[member]);
      const wide = (stats.mode & 0o7777 & ~members[member].mode) !== 0;
      const foreign = owner !== undefined && (stats.uid !== owner.uid || stats.gid !== owner.gid);
      if (wide) chmodSync(outer[member], members[member].mode);
      if (foreign) chownSync(outer[member], owner.uid, owner.gid);
      return wide || foreign ? [outer[member]] : [];
    }),
  );
}

function guard<T>(tried: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fileError(ExitCode.cantCreate, tried, path, error);
  }
}

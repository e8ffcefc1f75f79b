import { createPrivateKey, X509Certificate } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A broken promise. The message is the finding. */
class Broken extends Error {
  override readonly name = "Broken";
}

export function promise(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Broken(sentence);
}

/** A certificate with its key and CA, as services read them. */
export interface FoundSet {
  readonly key: string;
  readonly certificate: string;
  readonly ca: string;
}

/** The three files of a destination; undefined if all are missing. An incomplete set is a broken promise. */
export function findSet(destination: string): FoundSet | undefined {
  const [key, certificate, ca] = ["-key.pem", ".pem", "-ca.pem"].map((suffix) =>
    readIfThere(destination + suffix),
  );
  if (key === undefined && certificate === undefined && ca === undefined) return undefined;
  promise(
    key !== undefined && certificate !== undefined && ca !== undefined,
    "one of the three files is missing while another is there",
  );
  return { key, certificate, ca };
}

export function promiseMatching({ key, certificate, ca }: FoundSet): void {
  const [leaf, authority] = [new X509Certificate(certificate), new X509Certificate(ca)];
  promise(leaf.checkPrivateKey(createPrivateKey(key)), "key and certificate don't belong together");
  promise(leaf.verify(authority.publicKey), "the CA did not sign the certificate");
}

export function readIfThere(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path, "utf8");
}

/** Every file and link below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** No file with a secret may be readable by others. */
export function promiseNarrow(folder: string): void {
  for (const path of filesBelow(folder)) {
    const stats = lstatSync(path);
    if (!stats.isFile()) continue;
    const isSecret = /PRIVATE KEY|client-key-data|^(hv)?[sbr]\.|^w-/.test(readFileSync(path, "utf8"));
    promise(
      !isSecret || (stats.mode & 0o077) === 0,
      `${path} holds a secret with mode ${(stats.mode & 0o777).toString(8)}`,
    );
  }
}

/** No temporary files, and only two sets: the current one and the one before. */
export function promiseTidy(folder: string): void {
  const names = filesBelow(folder);
  const stray = names.filter((path) => path.includes(".tmp-"));
  promise(stray.length === 0, `a run left ${stray.join(", ")}`);
  for (const set of new Set(names.flatMap((path) => /^.*\.set(?=\/)/.exec(path) ?? []))) {
    const versions = readdirSync(set).filter((name) => /^\d{8}T/.test(name));
    promise(versions.length <= 2, `${set} holds ${versions.length} sets`);
    promise((statSync(set).mode & 0o777) === 0o755, `${set} has a mode that keeps readers out`);
  }
}

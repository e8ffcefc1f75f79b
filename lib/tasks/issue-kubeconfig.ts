import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readSet } from "../host/certificate-set.ts";
import { printable } from "../host/file-error.ts";
import { kubeconfigPath, lockKubeconfigFile, readKubeconfigFile } from "../host/kubeconfig-file.ts";
import { tokenPaths } from "../host/token-files.ts";
import { refuseForeignKey } from "../renewal/choose-key.ts";
import { assess } from "../renewal/decide.ts";
import { inspect } from "../renewal/inspect.ts";
import { type Issued, renew } from "../renewal/issue.ts";
import type { Renewal, RenewalRun } from "../renewal/renewal.ts";
import type { VaultClient } from "../vault/client.ts";
import { readClocks } from "../vault/clocks.ts";
import type { AccessNames, Credentials } from "./kubeconfig.ts";

export interface KubeconfigOptions {
  readonly path: string;
  readonly names: AccessNames;
  /** Base address of the API server; undefined takes the address in the file, else this host's. */
  readonly server: string | undefined;
  readonly namespace: string;
  /** The kubeconfig names the certificate's files instead of holding them: client-go reads them again on a change. */
  readonly isByPath: boolean;
  /** Keeps other entries of the file. Without it, a file with other entries is refused. */
  readonly merge: boolean;
  /** Folder of the host's tokens, whose files no kubeconfig may replace. */
  readonly configPath: string;
  /** Time left until the run's limit: no timer can fire while a long file is worked on. */
  readonly timeLeftMs: () => number;
}

export interface IssuedKubeconfig {
  readonly issued: Issued;
  /** An absolute path. */
  readonly path: string;
  /** For people: without a password. */
  readonly server: string;
  /** Whether the file had to be written. */
  readonly isWritten: boolean;
}

/**
 * Renews a certificate by its policy, and writes a kubeconfig that uses it. Faults of the kubeconfig's file are found
 * before the server is asked for anything. If a run is stopped between the two, the next run finishes the kubeconfig,
 * whether or not the certificate is due then.
 *
 * @param client asked for once the files have been examined
 * @throws Failure; the kubeconfig has not changed then
 */
export async function issueKubeconfig(
  kubeconfig: KubeconfigOptions,
  renewal: Renewal,
  run: Omit<RenewalRun, "client">,
  client: () => Promise<VaultClient>,
): Promise<IssuedKubeconfig> {
  const { destination, owner } = renewal;
  const { signal, onNote } = run;
  const path = kubeconfigPath(kubeconfig.path, takenPaths(kubeconfig, destination));
  // Loaded here: nothing else needs to read YAML.
  const { readKubeconfig } = await import("./kubeconfig.ts");
  const checkTime = () => {
    if (kubeconfig.timeLeftMs() > 0) return;
    throw new Failure("temporary", `the time limit was over while ${printable(path)} was worked on`, {
      hint: "it was not changed; a longer --timeout helps, or a shorter file",
    });
  };
  const put = (text: string, vaultAddress: string, credentials: Credentials) => {
    const found = readKubeconfig(text, path, checkTime);
    if (!kubeconfig.merge) refuseForeignParts(found.foreignParts(kubeconfig.names), path);
    return found.put({ ...kubeconfig, vaultAddress, credentials });
  };
  // A trial run: it throws if the file can't be changed.
  put(readKubeconfigFile(path, owner).text, "", { isEmbedded: false, key: "", certificate: "", ca: "" });
  const vault = await client();
  const issued = await renew(renewal, { ...run, client: vault });
  using file = await lockKubeconfigFile(path, owner, { signal, onWait: onNote });
  const credentials = await credentialsOf(kubeconfig, renewal, vault);
  const { text: before, isRight } = file.read();
  const { text, server } = put(before, vault.address, credentials);
  const isWritten = text !== undefined || !isRight;
  if (isWritten) file.replace(text ?? before);
  return { issued, path, server: withoutUser(server), isWritten };
}

/** A password in the file's address must not be shown. */
function withoutUser(server: string): string {
  return server.replace(/\/\/[^/]*@/, "//");
}

function takenPaths({ configPath }: KubeconfigOptions, destination: string) {
  const { key, certificate, ca } = certificatePaths(destination);
  return [
    [key, "where the certificate's key goes"],
    [certificate, "where the certificate goes"],
    [ca, "where the certificate's CA goes"],
    ...Object.values(tokenPaths(configPath)).map((path) => [path, "one of this host's token files"] as const),
  ] as const;
}

function refuseForeignParts(foreign: readonly string[], path: string): void {
  if (foreign.length === 0) return;
  const shown = foreign.length > 5 ? [...foreign.slice(0, 4), `${foreign.length - 4} more`] : foreign;
  throw new Failure(
    "data",
    `${printable(path)} has entries that are not this command's: ${shown.join(", ")}`,
    {
      hint: "nothing was changed; --merge keeps it all and changes this cluster, user and context; or choose another path",
    },
  );
}

/** Reads the three files of one set. Another run may be replacing them at that moment. */
async function credentialsOf(
  { isByPath }: KubeconfigOptions,
  renewal: Renewal,
  client: VaultClient,
): Promise<Credentials> {
  const { destination } = renewal;
  const paths = certificatePaths(destination);
  for (let triesLeft = 20; triesLeft > 0; triesLeft--) {
    const stored = readSet(destination);
    // The folder's owner could have put another set there since.
    refuseForeignKey(renewal, stored);
    const inspected = await inspect(destination, stored);
    const { isUsable } = assess(inspected, renewal, renewal.policy, readClocks(client));
    if (isUsable && stored.state === "whole") {
      return isByPath ? { isEmbedded: false, ...paths } : { isEmbedded: true, ...stored.files };
    }
    await Bun.sleep(50);
  }
  throw new Failure("temporary", `the files of ${printable(destination)} did not match for a whole second`, {
    hint: "something else changes them as well; the kubeconfig was not changed",
  });
}

import { Failure } from "../failure.ts";
import { certificatePaths } from "../host/certificate-place.ts";
import { readSet } from "../host/certificate-set.ts";
import { printable } from "../host/file-error.ts";
import { kubeconfigPath, lockKubeconfigFile, readKubeconfigFile } from "../host/kubeconfig-file.ts";
import { tokenPaths } from "../host/token-files.ts";
import { assess, foreignKey } from "../renewal/decide.ts";
import { inspect } from "../renewal/inspect.ts";
import { foreignKeyFailure, type Issued, type Renewal, type RenewalRun, renew } from "../renewal/issue.ts";
import type { VaultClient } from "../vault/client.ts";
import { readClocks } from "../vault/server-time.ts";
import type { AccessNames, Credentials } from "./kubeconfig.ts";

export interface KubeconfigOptions {
  readonly path: string;
  readonly names: AccessNames;
  /** Base address of the API server; undefined for the one that the file names, else this host's. */
  readonly server: string | undefined;
  readonly namespace: string;
  /** Paths of the certificate's files instead of what is in them: client-go reads those again when they change. */
  readonly isByPath: boolean;
  /** Keeps what else is in the file, which is refused otherwise. */
  readonly merge: boolean;
  /** Folder of the host's tokens, whose files no kubeconfig may replace. */
  readonly configPath: string;
  /** Until the run's time limit: to read and write a long file leaves no timer its turn. */
  readonly timeLeftMs: () => number;
}

export interface IssuedKubeconfig {
  readonly issued: Issued;
  /** From the root. */
  readonly path: string;
  /** To be shown. */
  readonly server: string;
  /** Whether the file was not as it should be. */
  readonly isWritten: boolean;
}

/**
 * Has a certificate signed, or kept where only a due one is asked for, and writes a kubeconfig that shows it. What can
 * be wrong with the kubeconfig's file is found before anything is asked of the server. A run that was stopped between
 * the two is mended by the next, whether the certificate is due then or not.
 *
 * @param client asked for once the files have been looked at
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
  // To see whether it could be done.
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

/** Where the file named it with a password, that is for the file alone. */
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
  throw new Failure("data", `${printable(path)} holds what this run would not: ${shown.join(", ")}`, {
    hint: "nothing was changed; --merge keeps it all and changes this cluster, user and context; or choose another path",
  });
}

/** The three files as they belong together: another run may be replacing them, one link for all. */
async function credentialsOf(
  { isByPath }: KubeconfigOptions,
  renewal: Renewal,
  client: VaultClient,
): Promise<Credentials> {
  const { destination } = renewal;
  const paths = certificatePaths(destination);
  for (let triesLeft = 20; triesLeft > 0; triesLeft--) {
    const stored = readSet(destination);
    const inspected = await inspect(destination, stored);
    // The folder's owner could have put another set there since.
    const fault = foreignKey(inspected, renewal);
    if (fault !== undefined) throw foreignKeyFailure(destination, fault);
    const { isUsable } = assess(inspected, renewal, renewal.policy, readClocks(client));
    if (isUsable && stored.state === "whole") {
      return isByPath ? { isEmbedded: false, ...paths } : { isEmbedded: true, ...stored.files };
    }
    await Bun.sleep(50);
  }
  throw new Failure(
    "temporary",
    `the files of ${printable(destination)} did not belong together, for longer than a change takes`,
    { hint: "something else changes them, too; the kubeconfig is as it was" },
  );
}

import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { treeOf } from "../support/tree.ts";

export const hostToken = "hvs.known-token-of-a-host";
const initToken = "hvs.known-init-token";
export const signPath = "demo/pki/k8s/sign/kubelet";
export const dnsName = "node-1.example.com";
export const ipAddress = "127.0.0.9";

/** A job of a host that needs the server. */
export interface Job {
  readonly name: "renewal" | "exchange" | "issue";
  readonly script: "renew-token" | "issue-cert";
  /** The path of its main request, the last one that can make it fail. */
  readonly about: string;
  /** Requests before that one. */
  readonly before: number;
  /** The requests after that one. */
  readonly after: readonly string[];
  /** Standard error if the job succeeds. */
  readonly says: string;
}

export const renewal: Job = {
  name: "renewal",
  script: "renew-token",
  about: "auth/token/renew-self",
  before: 0,
  after: [],
  says: "",
};
export const exchange: Job = {
  name: "exchange",
  script: "renew-token",
  about: "auth/token/create/demo-worker",
  before: 1,
  after: [],
  says: "renew-token: the init token was exchanged for a host token, accessor accessor-of-a-host\n",
};
export const issue: Job = {
  name: "issue",
  script: "issue-cert",
  about: signPath,
  before: 1,
  after: ["demo/pki/k8s/issuers?list=true"],
  says: "",
};
export const jobs: readonly Job[] = [renewal, exchange, issue];

/** Runs all jobs at the same time. Throws the first failure after all have ended. */
export async function forEachJob<T>(act: (job: Job) => Promise<T>): Promise<T[]> {
  const ended = jobs.map(act);
  await Promise.allSettled(ended);
  return await Promise.all(ended);
}

/** A host's files before a job. */
export interface Host extends Disposable {
  readonly path: string;
  readonly token: string;
  readonly destination: string;
  run(address: string, options?: RunOptions): Promise<Outcome>;
}

interface RunOptions {
  /** The run's time limit. @default 20 */
  readonly timeoutSeconds?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

export interface Outcome {
  readonly script: string;
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Expects that no file of the host was written or touched. */
  readonly isUntouched: boolean;
}

/**
 * A host that is ready for a job.
 *
 * @param issued another host whose certificate this one gets; only needed to issue
 */
export function createHost(job: Job, issued?: Host): Host {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const write = (name: string, content: string) => writeFileSync(at(name), content, { mode: 0o600 });
  mkdirSync(at("vault"), { mode: 0o700 });
  if (job !== exchange) write("vault/token", `${hostToken}\n`);
  else write("vault/init-token", `${initToken}\n`);
  if (issued !== undefined) execFileSync("cp", ["-a", join(issued.path, "ssl"), at("ssl")]);
  const destination = at("ssl/kubelet");
  return {
    path: folder.path,
    token: at("vault/token"),
    destination,
    async run(address, { timeoutSeconds = 20, env = {}, args = [] } = {}) {
      const before = treeOf(folder.path);
      const names = ["-s", dnsName, "-i", ipAddress, signPath, "kubelet", destination];
      const common = ["--config-path", at("vault"), "--timeout", `${timeoutSeconds}s`];
      const ran = await runScript(job.script, [...common, ...args, ...(job === issue ? names : [])], {
        env: { VAULT_ADDR: address, VAULT_INIT_ROLE: "demo-worker", ...env },
      });
      return {
        ...ran,
        script: job.script,
        isUntouched: Bun.deepEquals(treeOf(folder.path), before),
      };
    },
    [Symbol.dispose]: folder[Symbol.dispose],
  };
}

/** The expected end of a run that can't do its job. */
export interface Refusal {
  readonly code: 65 | 69 | 75 | 77 | 78;
  readonly sentence: RegExp;
  readonly hint?: RegExp | undefined;
}

/** Expects a run to fail with one sentence and to change no file. */
export function expectRefusal(outcome: Outcome, { code, sentence, hint }: Refusal): void {
  const { error, hint: told } = spoken(outcome);
  expect({ code: outcome.code, error }).toEqual({ code, error: expect.stringMatching(sentence) });
  expect(error).toMatch(/[^.]$/);
  if (hint !== undefined) expect(told).toMatch(hint);
  expect(outcome.stdout).toBe("");
  expect(outcome.isUntouched).toBe(true);
  expectNoSecret(outcome);
}

export function expectNoSecret({ stdout, stderr }: Outcome): void {
  for (const secret of [hostToken, initToken, "PRIVATE KEY"]) expect(stdout + stderr).not.toContain(secret);
}

/** The error and the hint at the end of a run, without the notes about attempts and waiting. */
function spoken({ script, stderr }: Outcome): { error: string; hint: string | undefined } {
  const lines = stderr.trimEnd().split("\n");
  const isNote = (line: string) => /; trying again in [\d.]+ s$|: waiting for another run/.test(line);
  const [error = "", hint, ...more] = lines.filter((line) => !isNote(line));
  expect(more).toEqual([]);
  expect(error).toStartWith(`${script}: `);
  if (hint !== undefined) expect(hint).toStartWith("  ");
  return { error: error.slice(script.length + 2), hint: hint?.trim() };
}

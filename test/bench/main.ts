import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startServer } from "../../lib/server/start-server.ts";
import { ensureBuilt, ensureBuiltAlone } from "../../tools/build.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Cost, type Job, type JobWithEnv, median, run, takeTurns } from "./cost.ts";
import { printPairs } from "./floors.ts";

// Measures the cost of a timer's run, and of the same job by the server's own command line: `npm run bench`.

const rounds = 30;
const watchedRounds = 7;
/** More runs, for two programs with nearly equal results. */
const pairedRounds = 60;

async function main(): Promise<void> {
  using folder = temporaryFolder();
  const dist = await ensureBuilt();
  await using server = await startServer({ mode: "dev-tls" });
  const vault = server.binary.path;
  const path = { PATH: process.env.PATH ?? "", HOME: folder.path };
  const ca = server.caFile ?? "";
  const address = {
    VAULT_ADDR: server.address,
    BAO_ADDR: server.address,
    VAULT_CACERT: ca,
    BAO_CACERT: ca,
  };
  const admin = { ...path, ...address, VAULT_TOKEN: server.rootToken };
  await run([join(dist, "setup-mounts"), "bench"], admin);
  await run([join(dist, "write-roles"), "bench", "--init-token-worker", "w-init"], admin);

  const config = join(folder.path, "vault");
  mkdirSync(config, { mode: 0o700 });
  writeFileSync(join(config, "init-token"), "w-init\n", { mode: 0o600 });
  const ours = { ...path, ...address, VAULT_INIT_ROLE: "bench-worker" };
  await run([join(dist, "renew-token"), "-p", config], ours);
  const token = (await Bun.file(join(config, "token")).text()).trim();
  const theirs = { ...path, ...address, VAULT_TOKEN: token, BAO_TOKEN: token };

  const [key, csr] = [join(folder.path, "peer.key"), join(folder.path, "peer.csr")];
  const sign = "bench/pki/k8s/sign/kubelet";
  const issue = [join(dist, "issue-cert"), "-p", config, sign, "kubelet", join(folder.path, "kubelet")];
  await run(issue, ours);
  await run(
    ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
    path,
  );

  const peer = server.binary.kind;
  const jobs: readonly JobWithEnv[] = [
    [{ name: "renew-token", commands: [[join(dist, "renew-token"), "-p", config]] }, ours],
    [{ name: `${peer} token renew`, commands: [[vault, "token", "renew"]] }, theirs],
    [
      { name: "issue-cert --if-due, not due (also renews the token)", commands: [[...issue, "--if-due"]] },
      ours,
    ],
    [{ name: "issue-cert (also renews the token)", commands: [issue] }, ours],
    [
      {
        name: `${peer} token renew, openssl req, ${peer} write`,
        commands: [
          [vault, "token", "renew"],
          ["openssl", "req", "-new", "-key", key, "-subj", "/CN=kubelet", "-out", csr],
          [vault, "write", sign, `csr=@${csr}`, "common_name=kubelet"],
        ],
      },
      theirs,
    ],
  ];
  console.log(`Medians of ${rounds} runs each, compared with ${await version(vault)}\n`);
  await printTable(jobs);

  const host = { dist, config, sign, folder: folder.path };
  console.log(
    `\nA host with ${certificates} certificates, each with its manifest, without the JIT as units run\n`,
  );
  // As in units, where MemoryDenyWriteExecute= forbids the JIT.
  const inUnit = { ...ours, BUN_JSC_useJIT: "0" };
  await printTable(manifestJobs(host).map((job) => [job, inUnit]));

  console.log("\nThe executable with all commands, compared with one that is compiled alone\n");
  const alone = await ensureBuiltAlone(["renew-token"]);
  const renewal = (name: string, ...words: string[]): JobWithEnv => [
    { name, commands: [[...words, "-p", config]] },
    ours,
  ];
  const [together, byItself] = await printTable(
    [
      renewal("vault-helper renew-token", join(dist, "vault-helper"), "renew-token"),
      renewal("renew-token, compiled alone", join(alone, "renew-token")),
    ],
    pairedRounds,
  );
  const times = (pick: (cost: Cost) => number) =>
    together === undefined || byItself === undefined ? "?" : (pick(together) / pick(byItself)).toFixed(2);
  console.log(
    `\nvault-helper renew-token takes ${times((it) => it.cpuMs)} times the CPU and ${times((it) => it.memoryMiB)} times the memory of renew-token alone`,
  );

  await printPairs({
    folder: folder.path,
    config,
    sign,
    env: inUnit,
    server: { address: server.address, ca: readFileSync(ca, "utf8"), rootToken: server.rootToken },
  });
}

/** @returns the medians */
async function printTable(jobs: readonly JobWithEnv[], count = rounds): Promise<Cost[]> {
  // Taking turns, so that noise affects all alike.
  const costs = await takeTurns(jobs, count, false);
  // In separate runs, because sampling takes time.
  const watched = await takeTurns(jobs, Math.max(watchedRounds, Math.ceil(count / 4)), true);
  console.log("| job | wall ms | CPU ms | MiB |\n| --- | --- | --- | --- |");
  return jobs.map(([job], i) => {
    const of = (all: readonly Cost[] = [], pick: (cost: Cost) => number) => median(all.map(pick));
    const cost = {
      wallMs: of(costs[i], (it) => it.wallMs),
      cpuMs: of(costs[i], (it) => it.cpuMs),
      memoryMiB: of(watched[i], (it) => it.memoryMiB),
    };
    const cells = [cost.wallMs, cost.cpuMs, cost.memoryMiB].map((value) => value.toFixed(0));
    console.log(`| ${[job.name, ...cells].join(" | ")} |`);
    return cost;
  });
}

const certificates = 20;

interface BenchHost {
  readonly dist: string;
  readonly config: string;
  readonly sign: string;
  readonly folder: string;
}

/** The cost of a daily run when nothing is due and when everything is, compared with the same in single calls. */
function manifestJobs({ dist, config, sign, folder }: BenchHost): Job[] {
  const issue = [join(dist, "issue-cert"), "-p", config];
  const names = Array.from({ length: certificates }, (_, i) => `kubelet-${i}`);
  const manifests = (renew: string) => {
    const certs = join(folder, renew);
    mkdirSync(certs, { mode: 0o755 });
    for (const name of names) {
      const destination = join(folder, "ssl", renew, name);
      const text = `sign_path = "${sign}"\ncommon_name = "kubelet"\ndestination = "${destination}"\nrenew = "${renew}"\n`;
      writeFileSync(join(certs, `${name}.toml`), text, { mode: 0o644 });
    }
    return [...issue, "--config-dir", certs];
  };
  const single = (name: string) => [...issue, sign, "kubelet", join(folder, "ssl/single", name)];
  return [
    { name: "renew-token", commands: [[join(dist, "renew-token"), "-p", config]] },
    { name: `${certificates} manifests, none due`, commands: [manifests("due")] },
    { name: `${certificates} manifests, all due`, commands: [manifests("always")] },
    { name: `${certificates} single calls of issue-cert`, commands: names.map(single) },
  ];
}

async function version(vault: string): Promise<string> {
  const child = Bun.spawn([vault, "version"], { stdout: "pipe" });
  return (await child.stdout.text()).split(",")[0]?.trim() ?? "";
}

await main();
process.exit(0);

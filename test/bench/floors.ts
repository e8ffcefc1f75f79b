import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createVaultClient } from "../../lib/vault/client.ts";
import { writePkiRole } from "../../lib/vault/pki.ts";
import { writePolicy } from "../../lib/vault/sys.ts";
import { createOrphan } from "../../lib/vault/token.ts";
import { compileFile, ensureBuiltAlone } from "../../tools/build.ts";
import { type JobWithEnv, median, takeTurns } from "./cost.ts";

const rounds = 60;

export interface PairsHost {
  readonly folder: string;
  /** The configuration folder, with a host token in it. */
  readonly config: string;
  readonly sign: string;
  /** The variables of a unit. */
  readonly env: Record<string, string>;
  readonly server: { readonly address: string; readonly ca: string; readonly rootToken: string };
}

/** A program that a command is measured against. */
interface Rival {
  readonly name: string;
  /** The goal: our processor time, as a multiple of this program's. */
  readonly goal: number;
  /** Undefined if it is not on this machine. */
  readonly job: JobWithEnv | undefined;
  /** The variable that names its executable. */
  readonly variable?: string;
}

/**
 * Prints the processor time of each command as a multiple of its floor. A floor is a program in one file, compiled with the
 * same flags, that does the same and checks nothing. Other tools are compared as well if variables name them.
 */
export async function printPairs(host: PairsHost): Promise<void> {
  const { folder, config, sign, env } = host;
  const alone = await ensureBuiltAlone(["renew-token", "issue-cert"]);
  const floor = async (name: string, ...words: string[]): Promise<JobWithEnv> => {
    const output = join(folder, name);
    await compileFile(join(import.meta.dir, `${name}.ts`), output);
    return [{ name, commands: [[output, config, ...words]] }, env];
  };
  const floorSet = join(folder, "floor-set");
  mkdirSync(floorSet);
  console.log("\nCompared with a floor and other tools, without the JIT, in pairs\n");
  const table: string[] = [];
  table.push(
    ...(await compare(
      [{ name: "renew-token", commands: [[join(alone, "renew-token"), "-p", config]] }, env],
      [
        { name: "its floor", goal: 1.25, job: await floor("floor-renew") },
        { name: "the Go tool", goal: 1.6, variable: "BENCH_GO_TOOL", job: goTool(host) },
      ],
    )),
    ...(await compare(
      [
        {
          name: "issue-cert",
          commands: [
            [join(alone, "issue-cert"), "-p", config, sign, "kubelet", join(folder, "pairs", "kubelet")],
          ],
        },
        env,
      ],
      [
        { name: "its floor", goal: 1.3, job: await floor("floor-issue", sign, "kubelet", floorSet) },
        {
          name: "consul-template -once",
          goal: 1.4,
          variable: "BENCH_CONSUL_TEMPLATE",
          job: await consulTemplate(host),
        },
      ],
    )),
  );
  console.log(
    ["| job | CPU ms | beside | CPU ms | times | goal |", "| --- | --- | --- | --- | --- | --- |"].join("\n"),
  );
  console.log(table.join("\n"));
}

async function compare(ours: JobWithEnv, rivals: readonly Rival[]): Promise<string[]> {
  const present = rivals.flatMap(({ job, ...rival }) => (job === undefined ? [] : [{ ...rival, job }]));
  for (const { name, variable, job } of rivals) {
    if (job === undefined) console.log(`${name} is left out: ${variable} names no executable\n`);
  }
  // One run beforehand, so that files and folders exist.
  await takeTurns([ours, ...present.map(({ job }) => job)], 1, false);
  const [own = [], ...others] = await takeTurns([ours, ...present.map(({ job }) => job)], rounds, false);
  return present.map(({ name, goal }, i) => {
    const costs = others[i] ?? [];
    const times = median(costs.map(({ cpuMs }, round) => (own[round]?.cpuMs ?? 0) / cpuMs));
    const [mine, theirs] = [own, costs].map((all) => median(all.map(({ cpuMs }) => cpuMs)).toFixed(1));
    return `| ${ours[0].name} | ${mine} | ${name} | ${theirs} | ${times.toFixed(2)} | ${goal} |`;
  });
}

/** `renew-token` of the Go tool, which ours replaced. */
function goTool({ config, env }: PairsHost): JobWithEnv | undefined {
  const path = executable("BENCH_GO_TOOL");
  const words = ["renew-token", "-p", config, "-r", env.VAULT_INIT_ROLE ?? ""];
  return path === undefined ? undefined : [{ name: "the Go tool", commands: [[path, ...words]] }, env];
}

/** The server makes its key, so it needs a role that issues. */
async function consulTemplate({ folder, env, server, sign }: PairsHost): Promise<JobWithEnv | undefined> {
  const path = executable("BENCH_CONSUL_TEMPLATE");
  if (path === undefined) return undefined;
  const { address, ca, rootToken } = server;
  const client = createVaultClient({ address, token: rootToken, tls: { ca: [ca] } });
  const mount = sign.replace(/\/sign\/.*/, "");
  await writePkiRole(client, `${mount}/roles/peer`, {
    ...{ key_type: "ec", key_bits: 256, allow_any_name: true, ttl: "720h", max_ttl: "720h" },
  });
  const issue = `${mount}/issue/peer`;
  await writePolicy(client, "bench-peer", `path "${issue}" { capabilities = ["update"] }`);
  const token = "bench-peer-token";
  await createOrphan(client, {
    ...{ id: token, displayName: "peer", policies: ["bench-peer"], periodSeconds: 86_400 },
  });
  const config = join(folder, "peer.hcl");
  const template = (field: string, suffix: string) =>
    `template {
  contents = "{{ with secret \\"${issue}\\" \\"common_name=kubelet\\" }}{{ .Data.${field} }}{{ end }}"
  destination = "${join(folder, `peer${suffix}`)}"
  perms = 0600
}
`;
  writeFileSync(
    config,
    template("private_key", "-key.pem") + template("certificate", ".pem") + template("issuing_ca", "-ca.pem"),
  );
  return [
    { name: "consul-template -once", commands: [[path, "-once", "-config", config]] },
    { ...env, VAULT_TOKEN: token },
  ];
}

/** The executable that a variable names; undefined if it names none. */
function executable(variable: string): string | undefined {
  const path = process.env[variable];
  if (!path) return undefined;
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}

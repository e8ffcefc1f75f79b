import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { RaftServer } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { version } from "../../package.json";
import { ROOT } from "../../tools/main.ts";
import { targets } from "../../tools/release/target.ts";
import { type CertificateFiles, makeCertificates } from "../support/certificates.ts";
import { storedInitToken } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { blocks, section } from "../support/markdown.ts";
import { runCommand } from "../support/script.ts";
import { until } from "../support/wait.ts";
import { copyClone } from "../tools/released.ts";
import { describeBooted } from "./bootable.ts";
import { writeHostFile } from "./host.ts";
import { createMachine, type Machine } from "./machine.ts";
import { isQuiet } from "./timers.ts";
import { machineTree } from "./tree.ts";

const minute = 60_000;

/** The commands in a section of a page, one string for each block. */
function commandsOf(page: string, heading: string): readonly string[] {
  return blocks(section(readFileSync(join(ROOT, page), "utf8"), heading));
}

/** Fills in the values that a page leaves to its reader. Each has to occur. */
function filled(text: string, blanks: Readonly<Record<string, string>>): string {
  return Object.entries(blanks).reduce((all, [blank, value]) => {
    if (!all.includes(blank)) throw new Error(`there is no ${blank} in ${all}`);
    return all.replaceAll(blank, () => value);
  }, text);
}

describeBooted("the commands in README.md and docs, word for word,", () => {
  const held = new AsyncDisposableStack();
  const [target] = targets.filter(({ name }) => name === `linux-${process.arch}`);
  const [asAdmin = "", onHost = ""] = commandsOf("README.md", "On a host");
  const [byHand = ""] = commandsOf("docs/tutorial.md", "A real host");
  const [fromArchive = ""] = commandsOf("docs/install.md", "Archives");
  const deb = `vault-helper_${version}_${target?.deb}.deb`;
  let clone: string;
  let server: RaftServer;
  let tls: CertificateFiles;
  let told: string;

  beforeAll(async () => {
    const folder = held.use(temporaryFolder());
    clone = join(folder.path, "clone");
    copyClone(clone);
    tls = makeCertificates(folder.path, "vault");
    server = held.use(await startServer({ mode: "raft", tls }));
    const env = { VAULT_ADDR: server.address, VAULT_CACERT: tls.caFile, VAULT_TOKEN: server.rootToken };
    const { code, stdout, stderr } = await runCommand(["/bin/sh", "-ec", asAdmin], { cwd: clone, env });
    told = stdout + stderr;
    expect([code, code === 0 ? "" : told]).toEqual([0, ""]);
  }, 10 * minute);
  afterAll(() => held.disposeAsync());

  /** A host with only the files that an admin has copied to it. */
  const hostWith = async (files: readonly string[]): Promise<Machine> => {
    const host = held.use(
      await createMachine({
        layers: [await machineTree()],
        hostname: "worker-1",
        prepare(disk) {
          mkdirSync(`${disk}/root/copied`);
          copyFileSync(tls.caFile, `${disk}/root/copied/ca.pem`);
          for (const name of files)
            copyFileSync(join(clone, "dist/release", name), `${disk}/root/copied/${name}`);
        },
      }),
    );
    await host.boot();
    await host.settled();
    return host;
  };
  const run = (host: Machine, commands: string) =>
    host.output("/bin/bash", "-ec", `cd /root/copied\n${commands}`);

  /** Sets a host up as README.md says, except for its last command, which has to wait for a few seconds. */
  const setUp = async (host: Machine, more: Readonly<Record<string, string>> = {}): Promise<string> => {
    const commands = filled(onHost, {
      "vault-helper_1.0.0_amd64.deb": deb,
      "https://vault.example.com:8200": server.address,
      "VAULT_TOKEN=…": `VAULT_TOKEN=${server.rootToken}`,
      ...more,
    });
    const last = commands.slice(commands.indexOf("vault-helper status "));
    await run(host, commands.slice(0, -last.length));
    await until(() => isQuiet(host));
    return last;
  };

  test("build the packages, and set up the cluster", () => {
    expect(readdirSync(join(clone, "dist/release"))).toContain(deb);
    expect(told).toContain("demo");
  });

  test(
    "give a host with the package its token and certificate",
    async () => {
      const host = await hostWith([deb]);
      const last = await setUp(host);
      expect(await run(host, last)).toMatch(
        /^ok +certificate kubelet +29d 23h .* system:node:worker-1 \(system:nodes\)(.|\n)*\n\d ok$/m,
      );
      await run(host, byHand);
      expect((await host.run("vault-helper", "status")).code).toBe(0);
    },
    3 * minute,
  );

  test(
    "give it a window, another folder, a timer for one manifest, a kubeconfig and a secret",
    async () => {
      const host = await hostWith([deb]);
      await setUp(host, { "demo-worker": "demo-all", init_token_worker: "init_token_all" });
      const kubelet = "/etc/vault/certs.d/kubelet.toml";
      const manifest = readFileSync(host.disk + kubelet, "utf8");
      const further = manifest.replace("/etc/kubernetes/ssl/kubelet", "/srv/tls/further");
      writeHostFile(host.disk, kubelet.replace("kubelet", "further"), { content: further, mode: 0o600 });

      const shown = (heading: string) => commandsOf("docs/hosts.md", heading).at(-1) ?? "";
      for (const heading of [
        "Windows",
        "Direct calls",
        "Kubeconfigs",
        "Secrets",
        "Retries",
        "Folders",
        "Services that need a certificate to start",
        "Certificates that last for hours",
      ])
        await run(host, shown(heading));
      const etcd = commandsOf("docs/hosts.md", "Folders")[0] ?? "";
      await run(host, etcd);

      await run(host, "systemctl start cert.service");
      await until(() => isQuiet(host));
      const next = await host.output("systemctl", "show", "--property=TimersCalendar", "cert.timer");
      expect(next).toContain("OnCalendar=*-*-* 02:00:00");
      const { code, stdout } = await host.run("vault-helper", "status");
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^ok +certificate further /m)]);
      expect(stdout).toMatch(/^ok +cert@kubelet\.timer /m);
      for (const path of ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/encryption.yaml"])
        expect(await host.output("stat", "--format=%a %U", path)).toBe("600 root");
      expect(await host.output("stat", "--format=%a %U", "/etc/etcd/ssl")).toBe("750 etcd");
      // The last command for manifests says that nothing is due.
      await run(host, shown("Manifests"));
    },
    3 * minute,
  );

  test(
    "install an archive, and issue each shipped manifest unchanged outside of AWS",
    async () => {
      const archive = `vault-helper-${version}-${target?.name}.tar.gz`;
      const host = await hostWith([archive, "SHA256SUMS"]);
      await run(
        host,
        filled(fromArchive, { "vault-helper-1.0.0-linux-x64": archive.slice(0, -".tar.gz".length) }),
      );
      const examples = `/root/copied/${archive.slice(0, -".tar.gz".length)}/units/examples/certs.d`;
      const names = readdirSync(host.disk + examples);
      expect(names.toSorted()).toEqual(["etcd.toml", "kube-apiserver.toml", "kubelet.toml"]);
      for (const name of names) {
        const text = readFileSync(`${host.disk + examples}/${name}`, "utf8");
        const [folder = ""] = /install -d .*/.exec(text) ?? [];
        await run(
          host,
          `mkdir -p /etc/etcd; install -m 0600 ${examples}/${name} /etc/vault/certs.d/; ${folder}`,
        );
      }
      const admin = createVaultClient({
        address: server.address,
        token: server.rootToken,
        tls: { ca: [tls.ca] },
      });
      const initToken = await storedInitToken(admin, "demo", "all");
      const config = `VAULT_ADDR=${server.address}\nVAULT_CACERT=/etc/vault/ca.pem\nVAULT_INIT_ROLE=demo-all\n`;
      writeHostFile(host.disk, "/etc/vault/config", { content: config, mode: 0o600 });
      writeHostFile(host.disk, "/etc/vault/init-token", { content: initToken, mode: 0o600 });
      await run(host, "install -m 0644 ca.pem /etc/vault/ca.pem");
      await run(host, "systemctl enable --now token-renewal.timer cert.timer");
      await until(() => isQuiet(host));
      const { code, stdout } = await host.run("/usr/local/bin/vault-helper", "status");
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+ ok$/m)]);
      expect(stdout.match(/^ok +certificate /gm)).toHaveLength(3);
    },
    3 * minute,
  );
});

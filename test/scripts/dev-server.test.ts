import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { listMounts } from "../../lib/vault/sys.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import { isOneSentence } from "../hostile/stage.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { modeOf } from "../support/tree.ts";
import { isRunning, until } from "../support/wait.ts";

const binary = await resolveServerBinary();
const serverEnv = { [binary.kind === "bao" ? "BAO_BINARY" : "VAULT_BINARY"]: binary.path };

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

interface Ready {
  readonly address: string;
  readonly tokensFile: string;
  readonly pid: number;
}

interface Dev extends Disposable {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** Resolves once it is ready. */
  readonly ready: Ready;
}

async function start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Dev> {
  const command = [await scriptPath("dev-server"), "-t", String(freePort()), "--json", ...args, "demo"];
  const child = Bun.spawn(command, {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...serverEnv, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  return { child, ready: await readLine(child.stdout), [Symbol.dispose]: () => child.kill("SIGKILL") };
}

async function readLine(stream: ReadableStream<Uint8Array>): Promise<Ready> {
  const reader = stream.getReader();
  let text = "";
  while (!text.endsWith("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("it ended before it was ready");
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return JSON.parse(text);
}

function variablesIn(file: string): Readonly<Record<string, string>> {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => /^(\w+)='(.*)'$/.exec(line)?.slice(1) ?? []));
}

const isGone = ({ pid, tokensFile }: Ready) => !isRunning(pid) && !existsSync(tokensFile);

/** A service manager that listens for notifications. In Perl, because the runtime has no datagram sockets. */
const listener = `
  socket(S, AF_UNIX, SOCK_DGRAM, 0); my $name = $ARGV[0] =~ s/^@/\\0/r; bind(S, pack_sockaddr_un($name)) or die;
  $| = 1; print "listening\\n"; recv(S, $message, 100, 0); print "$message\\n";`;

/** A process's own children, and theirs. */
function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  return children.map(Number).flatMap((child) => [child, ...descendantsOf(child)]);
}

describe("dev-server", () => {
  test("writes an init token with any characters so that a shell reads it and runs none of it", async () => {
    using dev = await start(["-o", "it's;exit;$(exit)"]);
    const { tokensFile } = dev.ready;
    const shell = Bun.spawnSync(["sh", "-c", `. ${tokensFile}; printf %s "$INIT_TOKEN_WORKER"`]);
    expect([shell.stdout.toString(), shell.stderr.toString()]).toEqual(["it's;exit;$(exit)", ""]);
  });

  test("has a cluster set up, writes its tokens to a file of mode 0600, and ends with 0", async () => {
    using dev = await start(["-l", "2", "-o", "chosen-init-token"], {
      VAULT_DEV_ROOT_TOKEN_ID: "chosen-root",
    });
    const { ready, child } = dev;
    expect([modeOf(ready.tokensFile), statSync(dirname(ready.tokensFile)).mode & 0o777]).toEqual([
      "600",
      0o700,
    ]);
    const told = variablesIn(ready.tokensFile);
    expect(told).toEqual({
      VAULT_ADDR: ready.address,
      VAULT_TOKEN: "chosen-root",
      INIT_TOKEN_ETCD: expect.any(String),
      INIT_TOKEN_MASTER: expect.any(String),
      INIT_TOKEN_WORKER: "chosen-init-token",
      INIT_TOKEN_ALL: expect.any(String),
    });
    const client = createVaultClient({ address: ready.address, token: "chosen-root" });
    expect([...(await listMounts(client)).keys()]).toContain("demo/pki/k8s-api-proxy");
    for (const [name, token] of Object.entries(told).filter(([name]) => name.startsWith("INIT_TOKEN_"))) {
      const role = name.slice("INIT_TOKEN_".length).toLowerCase();
      expect((await lookupSelf(client, token)).policies).toContain(`demo/${role}-creator`);
    }
    const commandLines = [child.pid, ...descendantsOf(child.pid)].map((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8"),
    );
    expect(commandLines.length).toBeGreaterThanOrEqual(3);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect([isGone(ready), existsSync(dirname(ready.tokensFile))]).toEqual([true, false]);
    const said = (await child.stderr.text()) + commandLines.slice(1).join("\n");
    expect(said).toContain("dev-server: create mount demo/pki/k8s\n");
    expect(said).toContain("dev-server: ended by SIGTERM\n");
    for (const [name, secret] of Object.entries(told)) {
      if (name !== "VAULT_ADDR") expect(said).not.toContain(secret);
    }
  });

  test.each([
    ["SIGINT", "a path"],
    ["SIGQUIT", "an abstract name"],
  ] as const)(
    "ends with 0 by %s, leaves nothing, and notifies systemd at %s when it is ready",
    async (signal, kind) => {
      using folder = temporaryFolder();
      const socket = kind === "a path" ? join(folder.path, "notify") : `@${folder.path}`;
      const heard = Bun.spawn(["perl", "-MSocket", "-e", listener, socket], {
        stdin: "ignore",
        stdout: "pipe",
      });
      const reader = heard.stdout.getReader();
      const listen = async () => new TextDecoder().decode((await reader.read()).value);
      expect(await listen()).toBe("listening\n");
      using dev = await start(["--tokens-file", join(folder.path, "tokens.env")], { NOTIFY_SOCKET: socket });
      expect(await listen()).toBe("READY=1\n");
      expect(dev.ready.tokensFile).toBe(join(folder.path, "tokens.env"));
      expect(modeOf(dev.ready.tokensFile)).toBe("600");
      dev.child.kill(signal);
      expect(await dev.child.exited).toBe(0);
      expect(isGone(dev.ready)).toBe(true);
      expect(await dev.child.stderr.text()).not.toContain("service manager");
    },
  );

  test("ends with 0 when a signal comes before it is ready", async () => {
    const command = [await scriptPath("dev-server"), "-t", String(freePort()), "demo"];
    const env = { PATH: process.env.PATH ?? "", ...serverEnv };
    const child = Bun.spawn(command, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    await until(() => descendantsOf(child.pid).length > 0);
    const started = descendantsOf(child.pid);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await until(() => !started.some(isRunning));
  });

  test("leaves nothing when a service manager kills all its processes at once, and notes that it can't notify it", async () => {
    using dev = await start([], { NOTIFY_SOCKET: "/nonexistent/notify" });
    for (const pid of [...descendantsOf(dev.child.pid), dev.child.pid]) process.kill(pid, "SIGTERM");
    expect(await dev.child.exited).toBe(0);
    expect(existsSync(dirname(dev.ready.tokensFile))).toBe(false);
    expect(await dev.child.stderr.text()).toContain(
      "can't notify the service manager at /nonexistent/notify that the server is ready: nobody listens there\n",
    );
  });

  test("leaves nothing when it is killed", async () => {
    using dev = await start();
    dev.child.kill("SIGKILL");
    await until(() => isGone(dev.ready) && !existsSync(dirname(dev.ready.tokensFile)));
  });

  test("ends with its parent", async () => {
    using folder = temporaryFolder();
    const [out, script] = [join(folder.path, "out"), '"$@" > "$0" & read -r _'];
    const command = [await scriptPath("dev-server"), "-t", String(freePort()), "--json", "demo"];
    const parent = Bun.spawn(["/bin/sh", "-c", script, out, ...command], {
      env: { PATH: process.env.PATH ?? "", ...serverEnv },
      stdin: "pipe",
      stderr: "ignore",
    });
    await until(() => existsSync(out) && readFileSync(out, "utf8").endsWith("\n"));
    const ready: Ready = JSON.parse(readFileSync(out, "utf8"));
    const [own] = descendantsOf(parent.pid);
    parent.kill("SIGKILL");
    await until(() => isGone(ready) && !isRunning(own ?? 0));
  });

  test("says so when the server ends by itself", async () => {
    using dev = await start();
    process.kill(dev.ready.pid, "SIGKILL");
    expect(await dev.child.exited).toBe(ExitCode.unavailable);
    expect(await dev.child.stderr.text()).toEndWith("dev-server: the server ended by itself\n");
    expect(existsSync(dev.ready.tokensFile)).toBe(false);
  });

  test("runs beyond its time limit once it is ready", async () => {
    const seconds = 12;
    const began = performance.now();
    using dev = await start(["--timeout", `${seconds}s`]);
    await Bun.sleep(Math.max(0, seconds * 1000 + 500 - (performance.now() - began)));
    const told = variablesIn(dev.ready.tokensFile);
    const client = createVaultClient({ address: dev.ready.address, token: told.VAULT_TOKEN });
    expect((await lookupSelf(client)).policies).toEqual(["root"]);
    dev.child.kill("SIGTERM");
    expect(await dev.child.exited).toBe(0);
  }, 40_000);
});

describe("dev-server refuses, in one sentence,", () => {
  test("a port that is taken", async () => {
    using taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const run = await runScript("dev-server", ["-t", String(taken.port), "-l", "0", "demo"], {
      env: serverEnv,
    });
    expect([run.code, run.stdout]).toEqual([ExitCode.unavailable, ""]);
    expect(run.stderr).toBe(
      `dev-server: the server can't listen on 127.0.0.1:${taken.port}: address already in use\n` +
        "  stop the program that listens there, or choose another port\n",
    );
  });

  test("to run without a server, and as an executable builds none", async () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "bin"));
    const run = await runScript("dev-server", ["demo"], {
      env: { PATH: join(folder.path, "bin"), HOME: folder.path },
    });
    expect(run).toEqual({
      code: ExitCode.config,
      stdout: "",
      stderr:
        "dev-server: there is no server to run: neither bao nor vault is on PATH\n" +
        "  install OpenBao or Vault, or set BAO_BINARY or VAULT_BINARY to its executable\n",
    });
  });

  test.each([
    [["-t", "0"], '--port "0" is not a number from 1 to 65535'],
    [["-t", "65536"], '--port "65536" is not a number from 1 to 65535'],
    [["--wait-signal=false"], "--wait-signal can't be turned off"],
    [["--max-validity-ca", "soon"], "soon"],
  ])("%j", async (args, sentence) => {
    const run = await runScript("dev-server", [...args, "demo"], { env: serverEnv });
    expect([run.code, isOneSentence(run)]).toEqual([ExitCode.usage, true]);
    expect(run.stderr).toContain(sentence);
  });

  test("a tokens file that exists already, because it would remove it", async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, "mine");
    writeFileSync(file, "mine");
    const args = ["-t", String(freePort()), "--tokens-file", file, "demo"];
    const run = await runScript("dev-server", args, { env: serverEnv });
    expect([run.code, isOneSentence(run)]).toEqual([ExitCode.cantCreate, true]);
    expect(readFileSync(file, "utf8")).toBe("mine");
  });
});

test("no executable contains the path of its build folder", async () => {
  const folder = dirname(dirname(await scriptPath("dev-server")));
  const executable = readFileSync(await scriptPath("dev-server"));
  expect(executable.includes(folder)).toBe(false);
  expect(executable.includes("neither bao nor vault is on PATH")).toBe(true);
});

import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { Failure } from "../failure.ts";
import type { ServerBinary } from "./binary.ts";
import { gated, type Keeper, startKeeper } from "./keeper.ts";

const START_SECONDS = 60;
const STOP_SECONDS = 10;

/** A server's process and its folder. Both end with us, however we end. A folder that the caller gave stays. */
export class ServerProcess {
  readonly binary: ServerBinary;
  readonly dataDir: string;
  readonly #keeper: Keeper;
  #child: Subprocess<"pipe", number, number> | undefined;

  constructor(binary: ServerBinary, dataDir?: string) {
    this.binary = binary;
    this.dataDir = dataDir ?? mkdtempSync(join(tmpdir(), "vault-helper-server-"));
    this.#keeper = startKeeper(dataDir ? undefined : this.dataDir);
    mkdirSync(this.dataDir, { recursive: true, mode: 0o700 });
  }

  get pid(): number | undefined {
    return this.#isRunning() ? this.#child?.pid : undefined;
  }

  /** The last lines of the log since the server's last start, without the keys that a dev server prints. */
  log(lines = 30): readonly string[] {
    const all = readFileSync(this.#logFile, "utf8").trimEnd().split("\n");
    return all.filter((line) => !/^(Unseal Key|Root Token)\b/.test(line)).slice(-lines);
  }

  /** Finds free ports and starts the server with them. Resolves with the ports when it listens. */
  async runOnFreePorts(count: number, args: (ports: number[]) => string[], env: Record<string, string> = {}) {
    for (let attemptsLeft = 5; ; attemptsLeft--) {
      const ports = freePorts(count);
      try {
        await this.run(args(ports), env);
        return ports;
      } catch (error) {
        // Another process may have taken a port meanwhile.
        if (attemptsLeft === 0 || !this.log().join("\n").includes("address already in use")) throw error;
      }
    }
  }

  /** Starts the server. Resolves when it listens. */
  async run(args: string[], env: Record<string, string> = {}): Promise<void> {
    if (this.#isRunning()) throw new Failure("internal", "the server is running already");
    const log = openSync(this.#logFile, "w", 0o600);
    const child = Bun.spawn(gated([this.binary.path, "server", ...args]), {
      cwd: this.dataDir,
      // Without the user's settings, and without a token file from the user's home.
      env: { PATH: process.env.PATH ?? "", HOME: this.dataDir, ...env },
      stdin: "pipe",
      stdout: log,
      stderr: log,
      detached: true,
    });
    closeSync(log);
    child.unref();
    this.#child = child;
    await this.#keeper.watch(child.pid);
    child.exited.then(() => this.#keeper.forget());
    child.stdin.write("\n");
    await child.stdin.end();
    await this.#untilListening();
  }

  /** Throws a Failure with the end of the log if the server has ended by itself. */
  assertRunning() {
    if (this.#isRunning()) return;
    throw new Failure("unavailable", `${this.binary.path} ended by itself; its log:`, {
      details: this.log(),
    });
  }

  /** Ends the server and waits. It is killed if it ignores the signal. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child) return;
    child.kill(signal);
    const killer = setTimeout(() => child.kill("SIGKILL"), STOP_SECONDS * 1000);
    await child.exited;
    clearTimeout(killer);
  }

  /** Ends the server at once and removes its folder. */
  async close(): Promise<void> {
    await this.end("SIGKILL");
    await this.#keeper.close();
  }

  get #logFile(): string {
    return join(this.dataDir, "server.log");
  }

  #isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Reads the log instead of sending a request: if the port was taken meanwhile, another server might answer. */
  async #untilListening() {
    const deadline = Date.now() + START_SECONDS * 1000;
    while (!readFileSync(this.#logFile, "utf8").includes("server started!")) {
      this.assertRunning();
      if (Date.now() > deadline) {
        await this.end("SIGKILL");
        throw new Failure("unavailable", `${this.binary.path} didn't start in ${START_SECONDS} s; its log:`, {
          details: this.log(),
        });
      }
      await Bun.sleep(20);
    }
  }
}

/** Free ports of the loopback. All are held until the last is found, so that none is returned twice. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  );
  const ports = listeners.map((listener) => listener.port);
  for (const listener of listeners) listener.stop(true);
  return ports;
}

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { goProgram } from "../support/go-program.ts";

/** Says why a reader refuses a peer. Both are texts in PEM. */
export interface Verifier extends AsyncDisposable {
  /**
   * By Go's verifier, which kubelet, kube-apiserver and etcd use.
   *
   * @param shown the peer's certificate file
   * @param trusted the reader's CA file
   * @returns empty if it is accepted
   */
  verify(shown: string, trusted: string): Promise<string>;
}

/** Starts one process for all questions. Each pair is looked at once. */
export async function startVerifier(): Promise<Verifier> {
  const program = await goProgram("verifier", join(import.meta.dir, "verifier"));
  const child = Bun.spawn([program], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const waiting: Array<(problem: string) => void> = [];
  void readLines(child.stdout, (line) => waiting.shift()?.(String(JSON.parse(line))));
  const known = new Map<string, Promise<string>>();
  return {
    verify(shown, trusted) {
      const question = JSON.stringify({ shown, trusted });
      const found = known.get(question);
      if (found !== undefined) return found;
      const { promise, resolve } = Promise.withResolvers<string>();
      waiting.push(resolve);
      known.set(question, promise);
      child.stdin.write(`${question}\n`);
      return promise;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await child.exited;
    },
  };
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
}

/** The same by OpenSSL, which takes a process for each pair. */
export function verifyByOpenssl(shown: string, trusted: string): string {
  using folder = temporaryFolder();
  const file = (name: string, text: string) => {
    const path = join(folder.path, name);
    writeFileSync(path, text);
    return path;
  };
  const [certificate, all] = [file("leaf.pem", shown), file("shown.pem", shown)];
  const command = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose", "sslserver"];
  const { exitCode, stderr } = Bun.spawnSync([
    ...command,
    ...["-CAfile", file("trusted.pem", trusted), "-untrusted", all, certificate],
  ]);
  return exitCode === 0 ? "" : stderr.toString();
}

import { readFileSync, readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { certificatePaths } from "../../lib/host/certificate-place.ts";

/** The worker of `startReader`: reads without a pause, on a thread of its own. */
export interface ReaderTask {
  readonly destination: string;
  /** Rounds that it has done, and whether it is to end. */
  readonly shared: Int32Array;
}

export interface ReaderResult {
  readonly rounds: number;
  /** How many different sets it met. */
  readonly seen: number;
  /** What a service must not find. */
  readonly findings: readonly string[];
}

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<ReaderTask>) => {
  const { destination, shared } = data;
  const set = join(dirname(destination), `.${basename(destination)}.set`);
  const outer = Object.values(certificatePaths(destination));
  const seen = new Set<string>();
  const findings = new Set<string>();
  while (Atomics.load(shared, 1) === 0) {
    try {
      for (const path of outer) seen.add(numberOf(path));
      // The three of one moment: through the set that is current then.
      const current = join(set, readlinkSync(join(set, "current")));
      const numbers = ["key", "cert", "ca"].map((name) => numberOf(join(current, `${name}.pem`)));
      if (new Set(numbers).size > 1) findings.add(`mixed ${numbers}`);
    } catch (error) {
      findings.add(String(error));
    }
    Atomics.add(shared, 0, 1);
  }
  const result: ReaderResult = { rounds: shared[0] ?? 0, seen: seen.size, findings: [...findings] };
  postMessage(result);
};

/** `key 17` */
function numberOf(path: string): string {
  return readFileSync(path, "utf8").trim().split(" ")[1] ?? "";
}

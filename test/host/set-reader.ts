import { readFileSync, readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { certificatePaths } from "../../lib/host/certificate-place.ts";

/** The task of the worker in `startReader`, which reads without a pause on a separate thread. */
export interface ReaderTask {
  readonly destination: string;
  /** The number of rounds done, and whether to stop. */
  readonly shared: Int32Array;
}

export interface ReaderResult {
  readonly rounds: number;
  /** The number of different sets that it has read. */
  readonly seen: number;
  /** Faults that a service must never see. */
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
      // The three files of one set, through the folder that is current now.
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

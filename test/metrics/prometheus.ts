import { join } from "node:path";
import { goProgram } from "../support/go-program.ts";

type Labels = Readonly<Record<string, string>>;

/** The metrics that Prometheus reads, and the problems that it finds. */
export interface PrometheusView {
  readonly problems: ReadonlyArray<{ readonly Metric: string; readonly Text: string }> | null;
  readonly metrics: Readonly<
    Record<string, ReadonlyArray<{ readonly labels: Labels; readonly value: number }>>
  >;
}

/** Reads metrics with Prometheus' own parser, and lints them by the rules of `promtool check metrics`. */
export async function readAsPrometheus(text: string): Promise<PrometheusView> {
  return await answer("promlint", import.meta.dir, text);
}

/** Metrics as a scrape stores them, with the queries about them. */
export interface Asked {
  /** A file of rules, in YAML. */
  readonly rules: string;
  readonly queries?: readonly string[];
  /** Metrics in the text format, by the host that they are of. */
  readonly hosts: Readonly<Record<string, string>>;
  /** In Unix seconds. */
  readonly at: number;
}

interface Expression {
  readonly text: string;
  /** The names of metrics in it. */
  readonly metrics: readonly string[];
  /** The labels of each series that it gives. */
  readonly result: readonly Labels[];
  /** Empty for none. */
  readonly problem: string;
}

export interface Answered {
  /** What `promtool check rules` would find. */
  readonly problems: readonly string[];
  readonly alerts: ReadonlyArray<{
    readonly name: string;
    readonly for: string;
    readonly labels: Labels;
    readonly annotations: Labels;
    readonly expression: Expression;
  }>;
  readonly queries: readonly Expression[];
}

/** Checks rules as promtool does, and evaluates them and queries with Prometheus' own engine. */
export async function askPrometheus(asked: Asked): Promise<Answered> {
  return await answer("promrules", join(import.meta.dir, "rules"), JSON.stringify({ queries: [], ...asked }));
}

async function answer(name: string, folder: string, input: string) {
  const child = Bun.spawn([await goProgram(name, folder)], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`Prometheus can't read it: ${errors}${input}`);
  return JSON.parse(out);
}

import { basename, dirname } from "node:path";
import { Failure } from "../failure.ts";
import { type State, states } from "../finding.ts";
import { removeTemporaries, replaceFile } from "../host/durable.ts";
import { fileError, printable } from "../host/file-error.ts";
import { openFolder } from "../host/folder.ts";
import { fullPath } from "../host/path.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** A gauge, its help text and its samples. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function metric(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name: `vault_helper_${name}`, help, samples };
}

/** One sample for each state: 1 for the state found, 0 for the others. */
export function stateSet(found: State, labels: Labels = {}): Sample[] {
  return states.map((state) => ({ labels: { ...labels, state }, value: state === found ? 1 : 0 }));
}

export function time(date: Date | undefined, labels: Labels = {}): Sample[] {
  return number(date && date.getTime() / 1000, labels);
}

/** @returns no sample for an unknown number */
export function number(value: number | undefined, labels: Labels = {}): Sample[] {
  return value === undefined ? [] : [{ labels, value }];
}

export function flag(value: boolean): Sample[] {
  return number(value ? 1 : 0);
}

/**
 * Metrics in Prometheus' text format. A metric without samples is left out.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ name, help, samples }) => [
      `# HELP ${name} ${escapeText(help)}\n`,
      `# TYPE ${name} gauge\n`,
      ...samples.map(({ labels = {}, value }) => `${name}${labelsText(labels)} ${value}\n`),
    ])
    .join("");
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escapeText(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** @throws Failure (usage) for a file that would not be collected */
export function checkMetricsPath(path: string | undefined): void {
  if (path === undefined || path.endsWith(".prom")) return;
  throw new Failure("usage", `${printable(path)} does not end in .prom`, {
    hint: "node_exporter's textfile collector reads no other file",
  });
}

/**
 * Writes metrics where node_exporter's textfile collector reads them. The file is readable by everyone, and never half
 * written. Another user's links on the path are not followed.
 *
 * @throws Failure (file)
 * @see https://github.com/prometheus/node_exporter#textfile-collector
 */
export function writeMetrics(path: string, text: string): void {
  const full = fullPath(path);
  try {
    using folder = openFolder(dirname(full));
    const file = `${folder.path}/${basename(full)}`;
    removeTemporaries(file);
    replaceFile(file, text, { mode: 0o644 });
  } catch (error) {
    throw fileError("file", "write", path, error);
  }
}

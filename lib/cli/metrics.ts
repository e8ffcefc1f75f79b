import { basename, dirname } from "node:path";
import { removeTemporaries, replaceFile } from "../host/durable.ts";
import { fileError } from "../host/file-error.ts";
import { openFolder } from "../host/folder.ts";
import { fullPath } from "../host/path.ts";

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A gauge, its help text and its samples. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
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

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escapeText(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
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

import { expect, test } from "bun:test";
import { type LogLevel, parseLogLevel } from "../../lib/cli/log.ts";
import { failureOf } from "../support/failure.ts";

test.each<[text: string, level: LogLevel]>([
  ["0", 0],
  ["1", 1],
  ["2", 2],
  ["errors", 0],
  ["Error", 0],
  ["erro", 0],
  ["info", 1],
  ["DEBUG", 2],
])("parseLogLevel(%j) is %d", (text, level) => {
  expect(parseLogLevel(text)).toBe(level);
});

test.each(["", "3", "-1", "01", "err", "d", "warning", "debugging", " 1"])(
  "parseLogLevel(%j) is refused",
  async (text) => {
    const { kind, message } = await failureOf(() => parseLogLevel(text));
    expect({ kind, message }).toEqual({
      kind: "usage",
      message: `${JSON.stringify(text)} is not a log level`,
    });
  },
);

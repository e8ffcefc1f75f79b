/** What another user reads in a file; undefined where they can't. */
export function readFileAs(uid: number, path: string): string | undefined {
  const ids = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const { stdout, success } = Bun.spawnSync(["setpriv", ...ids, "cat", path], { stderr: "ignore" });
  return success ? stdout.toString() : undefined;
}

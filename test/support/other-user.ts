/** A file's content, read as another user; undefined if that user can't read it. */
export function readFileAs(uid: number, path: string): string | undefined {
  const ids = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const { stdout, success } = Bun.spawnSync(["setpriv", ...ids, "cat", path], { stderr: "ignore" });
  return success ? stdout.toString() : undefined;
}

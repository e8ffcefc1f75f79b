import { lstatSync, type Stats } from "node:fs";
import { type Member, memberNames, members } from "./certificate-place.ts";

/** The stats of the three files of a set. */
export type MemberStats = Readonly<Record<Member, Stats>>;

/** The stats of the files in a set's folder; undefined if one of them is missing or can't be examined. */
export function statMembers(folder: string): MemberStats | undefined {
  try {
    const stat = (member: Member) => lstatSync(`${folder}/${members[member].name}`);
    return { key: stat("key"), certificate: stat("certificate"), ca: stat("ca") };
  } catch {
    return undefined; // reading them will show what is wrong
  }
}

/**
 * A fingerprint of three files, from their stats alone. It stays the same as long as nobody touches them. Every write,
 * chmod, chown and link changes a file's ctime, and no call can set it back. Every copy has another inode, even one
 * from a backup.
 *
 * Two changes go unnoticed:
 * - a write of the same length within the clock tick of a few milliseconds in which the file was made. Until the set is
 * in place, only root can enter its folder. Afterwards only the files' owner can write them, and that only harms the
 * owner's own service;
 * - damage by the disk, until the files are read: for the weekly CA check, by `status`, and for the next certificate.
 *
 * The device number is left out, since it may change at the next boot.
 */
export function fingerprintOf(stats: MemberStats): string {
  return memberNames
    .map((member) => {
      const { ino, ctimeMs, size, mode, uid, gid } = stats[member];
      return `${ino} ${ctimeMs} ${size} ${mode} ${uid} ${gid}`;
    })
    .join(", ");
}

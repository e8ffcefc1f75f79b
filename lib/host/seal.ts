import { lstatSync, type Stats } from "node:fs";
import { type Member, memberNames, members } from "./certificate-place.ts";

/** What the system knows of each of the three files of a set. */
export type MemberStats = Readonly<Record<Member, Stats>>;

/** Undefined where one of them is missing, or can't be looked at. */
export function statMembers(folder: string): MemberStats | undefined {
  try {
    const stat = (member: Member) => lstatSync(`${folder}/${members[member].name}`);
    return { key: stat("key"), certificate: stat("certificate"), ca: stat("ca") };
  } catch {
    return undefined; // whoever reads them tells what is wrong
  }
}

/**
 * What three files are as long as nobody has touched them: the same, of the same content. Every write, chmod, chown
 * and link sets a file's ctime, which no call sets back, and every copy, restored ones too, is a file of its own.
 *
 * The clock behind it ticks every few milliseconds, and a write of the same length within the tick in which the file
 * was made would not be seen. Until its set is sealed a file is in a folder that is root's alone; after that the only
 * other who may write it is its owner, who would spoil his own service's certificate, and no more. What the disk itself
 * has spoilt is not seen either: it is when the files are read whole, for the weekly look at the CA, by `status`, and
 * for the next certificate. No device number is in it, since those may be others after the next boot.
 */
export function sealOf(stats: MemberStats): string {
  return memberNames
    .map((member) => {
      const { ino, ctimeMs, size, mode, uid, gid } = stats[member];
      return `${ino} ${ctimeMs} ${size} ${mode} ${uid} ${gid}`;
    })
    .join(", ");
}

import { findPlace, isOurLink, memberNames, openCurrent } from "./certificate-place.ts";
import { lookBeside, readRequest, readSet, type StoredSet } from "./certificate-set.ts";
import type { Folders } from "./folder.ts";
import { keyOrigin } from "./key-origin.ts";
import { sealOf, statMembers } from "./seal.ts";

/**
 * As `readSet`, for a look at each run, which most often finds what was there the day before: the three files of a set
 * are read when the first is asked for, and never where their seal says enough.
 *
 * @throws Failure (file) when something stands there that is not ours to replace
 */
export function lookAtSet(destination: string, folders?: Folders): StoredSet {
  using place = findPlace(destination, folders);
  if (place === undefined) return {};
  const { set } = place;
  const linked = set !== undefined && memberNames.every((member) => isOurLink(place, member));
  using current = linked ? openCurrent(place) : undefined;
  const stats = current && statMembers(current.path);
  if (set === undefined || stats === undefined) return readSet(destination, folders);
  const request = readRequest(current);
  let read: StoredSet | undefined;
  const whole = () => {
    read ??= readSet(destination);
    return read;
  };
  return {
    get key() {
      return whole().key;
    },
    get certificate() {
      return whole().certificate;
    },
    get ca() {
      return whole().ca;
    },
    attributes: stats,
    owner: stats.key,
    keyOrigin: keyOrigin(place, stats.key, true),
    seal: sealOf(stats),
    request,
    noted: request,
    ...lookBeside(set, stats.ca),
  };
}

import { resolve } from "node:path";
import { Failure } from "../../lib/failure.ts";

/** Who makes a release, where its sources are, and which key signs it. Each is undefined if it is not set. */
export interface Origin {
  /** As `Name <address>`. */
  readonly maintainer: string | undefined;
  /** The address of the sources, as `https://HOST/PATH`. */
  readonly repository: string | undefined;
  /** Path of an SSH private key, or of a public key whose private key the SSH agent holds. */
  readonly signingKey: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads `RELEASE_MAINTAINER`, `RELEASE_REPOSITORY` and `RELEASE_SIGNING_KEY`. An empty variable counts as not set.
 *
 * @throws Failure (usage) for a value that can't be used in a package
 */
export function releaseOrigin(env: Environment): Origin {
  const key = env.RELEASE_SIGNING_KEY || undefined;
  return {
    maintainer: maintainerOf(env.RELEASE_MAINTAINER || undefined),
    repository: repositoryOf(env.RELEASE_REPOSITORY || undefined),
    signingKey: key === undefined ? undefined : resolve(key),
  };
}

/** @see https://www.debian.org/doc/debian-policy/ch-controlfields.html#maintainer */
function maintainerOf(text: string | undefined): string | undefined {
  // rpm would read a % as a macro.
  if (text === undefined || /^[^<>\p{C}%]*[^<>\p{C}%\s] <[^<>@\s%]+@[^<>@\s%]+>$/u.test(text)) return text;
  throw new Failure(
    "usage",
    `RELEASE_MAINTAINER is ${JSON.stringify(text)}, which is not a maintainer's name and address`,
    {
      hint: "give a name and an address: RELEASE_MAINTAINER='Jane Doe <jane@example.com>'",
    },
  );
}

function repositoryOf(text: string | undefined): string | undefined {
  if (text === undefined || /^https:\/\/[\w.-]+(:\d+)?(\/[\w.~-]+)+$/.test(text)) return text;
  throw new Failure(
    "usage",
    `RELEASE_REPOSITORY is ${JSON.stringify(text)}, which is not a repository's address`,
    {
      hint: "give the address of its page, without a user: RELEASE_REPOSITORY=https://git.example.com/team/vault-helper",
    },
  );
}

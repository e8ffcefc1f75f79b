import { resolve } from "node:path";
import { Failure } from "../../lib/failure.ts";

/** Who makes a release, from where, and with which key it is signed. Each is undefined where nobody says it. */
export interface Origin {
  /** `Name <address>` */
  readonly maintainer: string | undefined;
  /** Where the sources are: `https://HOST/PATH`. */
  readonly repository: string | undefined;
  /** Path of an SSH private key, or of the public key of one that the SSH agent holds. */
  readonly signingKey: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the environment says of a release: `RELEASE_MAINTAINER`, `RELEASE_REPOSITORY` and `RELEASE_SIGNING_KEY`. An
 * empty variable counts as none.
 *
 * @throws Failure (usage) for a value that would be wrong in a package
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
  // A % would be a macro of rpm's.
  if (text === undefined || /^[^<>\p{C}%]*[^<>\p{C}%\s] <[^<>@\s%]+@[^<>@\s%]+>$/u.test(text)) return text;
  throw new Failure("usage", `RELEASE_MAINTAINER is ${JSON.stringify(text)}, which names no maintainer`, {
    hint: "give a name and an address: RELEASE_MAINTAINER='Jane Doe <jane@example.com>'",
  });
}

function repositoryOf(text: string | undefined): string | undefined {
  if (text === undefined || /^https:\/\/[\w.-]+(:\d+)?(\/[\w.~-]+)+$/.test(text)) return text;
  throw new Failure(
    "usage",
    `RELEASE_REPOSITORY is ${JSON.stringify(text)}, which is no repository's address`,
    {
      hint: "give the address of its page, without a user: RELEASE_REPOSITORY=https://git.example.com/team/vault-helper",
    },
  );
}

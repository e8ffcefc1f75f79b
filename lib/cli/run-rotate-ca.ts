import { begunCa, stepText } from "../cluster/ca-rotation.ts";
import { casBefore, type Issuer, type MountCa, type MountCas, mainIssuer } from "../cluster/mount-cas.ts";
import { pkiMounts, type WantedMount } from "../cluster/mounts.ts";
import { rotationPolicy } from "../cluster/needed-policy.ts";
import {
  inUseHold,
  planRetirement,
  type Retirement,
  type Retiring,
  retireStepText,
} from "../cluster/retire-ca.ts";
import { planRotation, type RotationWish } from "../cluster/rotate-ca.ts";
import { formatDay, formatMinute, formatMinuteFrom } from "../duration.ts";
import { Failure } from "../failure.ts";
import { many } from "../words.ts";
import { clusterOf } from "./cluster-args.ts";
import { adminToken } from "./environment.ts";
import { ExitCode } from "./exit-code.ts";
import { printJson, printLines, stoppedJson } from "./log.ts";
import { sayIfSlow, tellProgress } from "./progress.ts";
import { checkRotateCaArgs, mountOf, type RotateCaArgs, wishOf } from "./rotate-ca-args.ts";
import { printPolicy } from "./run-setup.ts";
import type { Run } from "./script.ts";

/**
 * Renews a mount's CA, adds a new one, or removes older ones. Shows the plan, and carries it out unless a flag says not
 * to.
 *
 * @throws Failure (usage) for flags that can't be used together, (temporary) for CAs that have to wait, (config) for
 *   CAs that an admin has to do something about first; as the plans
 */
export async function runRotateCa(args: RotateCaArgs, run: Run): Promise<ExitCode> {
  checkRotateCaArgs(args);
  const { cluster, ...choice } = clusterOf({
    cluster: args.cluster,
    config: args.config,
    "max-validity-ca": args["max-validity-ca"],
  });
  const wanted = mountOf(args.mount, pkiMounts(cluster));
  if (args["print-policy"] === true) return printPolicy(cluster, rotationPolicy(cluster, wanted), args);
  const client = run.client(adminToken(run.env));
  const report = startReport(args, wanted, run);
  if (args.retire === true || args["delete-key"] === true) {
    const wish = {
      retire: args.retire === true,
      force: args.force === true,
      deleteKey: args["delete-key"] === true,
    };
    const plan = await planRetirement(client, cluster, wanted, wish, tellProgress(run.log));
    return await retire(plan, wanted, args, report);
  }
  const wish = wishOf(args);
  const plan = await planRotation(client, cluster, wanted, wish, choice);
  report.showCas(plan.mount);
  if (plan.note !== undefined) run.log.note(plan.note);
  const after = await report.carryOut(plan.steps, stepText, plan.apply);
  return report.end({}, nextWords(after ?? plan.mount, args), whyNothing[wish.renew]);
}

const whyNothing: Readonly<Record<RotationWish["renew"], string>> = {
  certificate:
    "a new certificate would hardly last longer than the one that signs; a longer one needs a longer --max-validity-ca",
  key: "the CA that signs is less than a day old; --again makes another one",
};

/** Prints the plan and its progress, as lines or as one JSON object. */
function startReport(args: RotateCaArgs, { path }: WantedMount, { log }: Run) {
  const dry = args["dry-run"] === true || args.check === true;
  const show = (line: string) => (args.json === true ? undefined : log.done(line));
  let planned: ReadonlyArray<{ readonly do: string; readonly text: string }> = [];
  let applied = 0;
  let mount: MountCas | undefined;
  const json = (more: object) => {
    if (args.json !== true) return;
    const cas = mount?.cas.map((ca) => caJson(ca, mount?.signing)) ?? [];
    printJson({ cluster: args.cluster, mount: path, dryRun: dry, cas, steps: planned, applied, ...more }, 2);
  };
  return {
    dry,
    show,
    json,
    showCas(found: MountCas) {
      mount = found;
      for (const ca of found.cas) show(caLine(path, ca, found.signing));
    },
    /** Shows the steps, or takes them. @returns what `apply` returns; undefined for a dry run */
    async carryOut<S extends { readonly do: string }, R>(
      steps: readonly S[],
      text: (step: S) => string,
      apply: (onStep: (step: S) => void, onDone: (step: S) => void) => Promise<R>,
    ): Promise<R | undefined> {
      planned = steps.map((step) => ({ do: step.do, text: text(step) }));
      if (dry) {
        for (const { text } of planned) show(text);
        return undefined;
      }
      let isOver = () => {};
      try {
        return await apply(
          (step) => {
            isOver = sayIfSlow(log, `${text(step)}: the server is still at it`);
          },
          (step) => {
            isOver();
            applied++;
            show(text(step));
          },
        );
      } catch (error) {
        json(stoppedJson(error));
        if (applied > 0) log.note(`stopped after ${many(applied, "change")}; run it again to go on`);
        throw error;
      } finally {
        isOver();
      }
    },
    /** @param nothing why there is nothing to change, if that is so */
    end(more: object, next: string | undefined, nothing: string): ExitCode {
      json({ ...more, next: next ?? null });
      const count = planned.length;
      const what =
        count === 0
          ? `nothing to change: ${nothing}`
          : dry
            ? `${many(count, "change")} to make; nothing was changed`
            : many(applied, "change");
      show(`${path}: ${what}${next === undefined ? "" : `; next: ${next}`}`);
      return args.check === true && count > 0 ? ExitCode.wouldChange : ExitCode.ok;
    },
  };
}

type Report = ReturnType<typeof startReport>;

async function retire(
  plan: Retirement,
  { path }: WantedMount,
  args: RotateCaArgs,
  report: Report,
): Promise<ExitCode> {
  const { older, mount, steps } = plan;
  report.showCas(mount);
  const isForced = args.force === true;
  for (const it of older) for (const line of olderLines(it, isForced)) report.show(line);
  for (const { name, issuers } of plan.keptKeys) report.show(keptKeyLine(name, issuers));
  const inJson = { older: older.map(olderJson), keptKeys: plan.keptKeys.map(({ name }) => name) };
  const held = older.filter(({ holds }) => holds.length > 0);
  if (steps.length === 0 && held.length > 0 && args.retire === true && !report.dry) {
    const failure = notYet(path, held);
    report.json({ ...inJson, ...stoppedJson(failure) });
    throw failure;
  }
  await report.carryOut(steps, retireStepText, plan.apply);
  const kept = steps.flatMap((step) => (step.do === "keep certificate" ? [step.ca] : []));
  const certificates = kept.map((ca) => ({ name: ca.name, certificate: mainIssuer(ca)?.certificate ?? "" }));
  if (args.json !== true && !report.dry) {
    for (const { name, certificate } of certificates)
      printLines(`certificate of ${name}:\n${certificate.trimEnd()}`);
  }
  const nothing =
    args.retire !== true
      ? "no key of a retired CA is left"
      : older.length === 0
        ? `there is no older CA${laterWords(plan.mount, args)}`
        : "the older CAs are still needed";
  const retired = report.dry ? [] : certificates;
  return report.end({ ...inJson, retired }, nextAfterRetire(held, isForced), nothing);
}

/** A CA that was made later and does not sign, because a run was stopped or somebody went back. */
function laterWords(mount: MountCas, { cluster, mount: name }: RotateCaArgs): string {
  const begun = begunCa(mount);
  if (begun === undefined) return "";
  return `; ${begun.name} is newer and does not sign: rotate-ca ${cluster} ${name} --new-key makes it sign`;
}

const mostNames = 20;

function olderLines(retiring: Retiring, isForced: boolean): readonly string[] {
  const { ca, inUse, holds, pinnedRoles, unseenRoles } = retiring;
  const shown = inUse.names.slice(0, mostNames);
  const more = inUse.names.length - shown.length;
  const names = [
    ...shown.map(
      ({ name, count, lastEnd }) => `  ${name}: ${count}, the last until ${formatMinute(lastEnd)} UTC`,
    ),
    ...(more > 0 ? [`  and ${many(more, "more name")}`] : []),
  ];
  const [inUseText] = inUseHold(inUse);
  return [
    ...(isForced
      ? []
      : holds.flatMap((hold) => [`keep ${ca.name}: ${hold}`, ...(hold === inUseText ? names : [])])),
    ...(isForced && inUse.count > 0 ? [`these certificates of ${ca.name} stop working:`, ...names] : []),
    ...(isForced && unseenRoles.length > 0
      ? [
          `certificates of ${unseenRoles.join(", ")} stop working, too: they are not stored, and can't be listed or revoked`,
        ]
      : []),
    ...(isForced && pinnedRoles.length > 0
      ? [
          `${pinnedRoles.join(", ")} can't sign until you give ${pinnedRoles.length === 1 ? "it" : "them"} another issuer_ref than ${ca.name}`,
        ]
      : []),
    ...(isForced
      ? [
          `programs that trust only ${ca.name}, or only CAs before it, will refuse the certificates of every other CA`,
        ]
      : []),
  ];
}

function keptKeyLine(name: string, issuers: readonly Issuer[]): string {
  const its = issuers.map((it) => it.name || it.id).join(", ");
  return `keep the key of ${name}: ${its} has it, and readers of an older CA need that`;
}

function notYet(path: string, held: readonly Retiring[]): Failure {
  const names = held.map(({ ca }) => ca.name).join(" and ");
  const days = held.map(({ readyAt }) => readyAt?.getTime());
  const isWaiting = days.every((day) => day !== undefined);
  const day = isWaiting ? new Date(Math.min(...days.map((it) => it ?? 0))) : undefined;
  const stolen =
    "if the CA's key was stolen, first run issue-cert --reissue on every host, then this with --force";
  return new Failure(
    isWaiting ? "temporary" : "config",
    `${names} of ${path} can't be retired yet: ${held.flatMap(({ holds }) => holds).join("; ")}`,
    {
      hint:
        day === undefined
          ? `nothing was changed; do that first; ${stolen}`
          : `nothing was changed; run it again from ${formatMinuteFrom(day)} UTC; ${stolen}`,
    },
  );
}

function nextAfterRetire(held: readonly Retiring[], isForced: boolean): string | undefined {
  const ready = held.flatMap(({ ca, readyAt }) => (readyAt === undefined ? [] : [{ ca, readyAt }]));
  const [first] = isForced ? [] : ready.sort((a, b) => a.readyAt.getTime() - b.readyAt.getTime());
  return first && `${first.ca.name} can go from ${formatMinuteFrom(first.readyAt)} UTC`;
}

/** What an admin does after a rotation; undefined if nothing is left to do. */
function nextWords(mount: MountCas, { cluster, mount: name }: RotateCaArgs): string | undefined {
  const older = casBefore(mount);
  // Each host reads it at every CA check, since none of its files has it.
  const isReplaced = mount.cas.some(({ roots }) => roots.length > 1);
  const retire = `rotate-ca ${cluster} ${name} --retire`;
  if (older.length === 0) {
    return isReplaced ? `${retire} removes the certificate that was replaced, at any time` : undefined;
  }
  const names = older.map((ca) => ca.name).join(" and ");
  return `${retire}, once all certificates of ${names} have expired (vault-helper status ${cluster} shows the day)`;
}

function caLine(path: string, ca: MountCa, signing: MountCa | undefined): string {
  const issuer = mainIssuer(ca);
  const end = issuer === undefined ? "never" : formatDay(issuer.notAfter);
  return `${path}: ${ca.name} ${ca.keyId === signing?.keyId ? "signs" : "does not sign"}, valid until ${end}`;
}

function caJson(ca: MountCa, signing: MountCa | undefined) {
  return {
    name: ca.name,
    keyId: ca.keyId,
    signs: ca.keyId === signing?.keyId,
    madeAt: ca.madeAt,
    issuers: [...ca.roots, ...ca.others].map((it) => ({
      id: it.id,
      name: it.name,
      isDefault: it.isDefault,
      serialNumber: it.x509.serialNumber.toLowerCase(),
      notBefore: it.notBefore,
      notAfter: it.notAfter,
    })),
  };
}

function olderJson({ ca, inUse, holds, readyAt }: Retiring) {
  return {
    name: ca.name,
    certificatesInUse: inUse.count,
    lastEnd: inUse.lastEnd ?? null,
    names: inUse.names,
    holds,
    readyAt: readyAt ?? null,
  };
}

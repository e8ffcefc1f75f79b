/** Our units that renew a host's token and issue all of its manifests. */
export const tokenTimer = "token-renewal.timer";
export const tokenService = "token-renewal.service";
export const certTimer = "cert.timer";
export const certService = "cert.service";

/** Patterns for all our units, as systemctl takes them: timers, their services, and what runs hooks. */
export const ourUnits: readonly string[] = [
  ...[tokenTimer, certTimer, "cert@*.timer"],
  ...[tokenService, certService, "cert@*.service"],
  ...["cert-hooks.service", "cert-hooks@*.service", "hooks-again@*.service"],
];

/** Whether a unit is one of ours. */
export function isOurUnit(id: string): boolean {
  return /^(token-renewal|cert|cert@.*|cert-hooks|cert-hooks@.*|hooks-again@.*)\.(service|timer)$/.test(id);
}

/** Whether a unit of ours runs hooks, or has them run again. */
export function isHooksUnit(id: string): boolean {
  return /^(cert-hooks|cert-hooks@.*|hooks-again@.*)\.service$/.test(id);
}

/** The timer of one manifest. */
export function instanceTimer(manifestName: string): string {
  return `cert@${manifestName}.timer`;
}

/** The service that a timer starts if it names no other. */
export function serviceName(timer: string): string {
  return timer.replace(/timer$/, "service");
}

/** The unit that runs the hooks for `cert.service` or an instance of it; any other service runs them itself. */
export function hooksUnitOf(service: string): string {
  return service.replace(/^cert(?=(?:@.*)?\.service$)/, "cert-hooks");
}

/** The unit that issues the certificates whose hooks a unit runs. */
export function issuingUnitOf(hooksUnit: string): string {
  return hooksUnit.replace(/^cert-hooks(?=[@.])/, "cert");
}

/** The manifest whose hooks an instance runs; undefined for a unit that runs all of them. */
export function manifestOfHooks(hooksUnit: string): string | undefined {
  return /cert-hooks@(.+)\.service$/.exec(hooksUnit)?.[1];
}

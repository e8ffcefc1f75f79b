/**
 * Reads a date from outside. Only the years 1 to 9999 are valid, as in certificates (RFC 5280, section 4.1.2.5), HTTP
 * (RFC 9110, section 5.6.7) and ISO 8601.
 *
 * @param value milliseconds, or a string in a format that the runtime reads
 * @returns undefined when it is not a valid date
 */
export function calendarDate(value: number | string): Date | undefined {
  const date = new Date(value);
  const year = date.getUTCFullYear();
  return year >= 1 && year <= 9999 ? date : undefined;
}

/** The release of Vault 0.1.0. A clock that shows an earlier time was never set. */
const earliestMs = Date.UTC(2015, 3, 28);

/** Whether a clock that shows this time can be right: it is a valid date, and there were servers by then. */
export function isPlausibleNow(value: number | string): boolean {
  const date = calendarDate(value);
  return date !== undefined && date.getTime() >= earliestMs;
}

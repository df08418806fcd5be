// How money, numbers and moments are written. Pure; the components in ui/values.tsx put them on a page.

/** The locale that Intl is given: the browser's own variant of the language that was chosen, such as en-GB. */
export function localeFor(language: string, preferred: readonly string[] = navigator.languages): string {
  return (
    preferred.find((each) => each.toLowerCase().startsWith(language)) ??
    (language === "zh" ? "zh-CN" : "en-US")
  );
}

/**
 * An amount in USD from decimal text with up to nine places. At least two places; small amounts keep as many as make them
 * tell something. `exact` writes every place that there is.
 */
export function formatUsd(text: string, locale: string, exact = false): string {
  const places = exact ? placesOf(text) : sensiblePlaces(text);
  return formatter(locale, {
    style: "currency",
    currency: "USD",
    minimumFractionDigits: 2,
    maximumFractionDigits: Math.max(places, 2),
  }).format(text as Intl.StringNumericLiteral);
}

/** Whether `formatUsd` leaves places out that are not zero. */
export function isRounded(text: string): boolean {
  return placesOf(text) > Math.max(sensiblePlaces(text), 2);
}

/** A whole number with its groups; from a million on, short. */
export function formatTokens(count: number, locale: string): string {
  if (Math.abs(count) < 1_000_000) return formatter(locale, {}).format(count);
  return formatter(locale, { notation: "compact", maximumFractionDigits: 2 }).format(count);
}

/** A number with its groups. */
export function formatNumber(count: number, locale: string, fractionDigits = 0): string {
  return formatter(locale, { maximumFractionDigits: fractionDigits }).format(count);
}

/** A share from 0 to 1 as per cent; what is not quite all is never written as 100 %. */
export function formatShare(share: number, locale: string): string {
  const shown = share < 1 ? Math.min(share, 0.9999) : share;
  return formatter(locale, {
    style: "percent",
    maximumFractionDigits: shown > 0.99 && shown < 1 ? 2 : 1,
  }).format(shown);
}

/** Milliseconds, from a second on as seconds. */
export function formatDuration(milliseconds: number, locale: string): string {
  if (milliseconds < 1000) return unit(Math.round(milliseconds), "millisecond", locale, 0);
  if (milliseconds < 100_000)
    return unit(milliseconds / 1000, "second", locale, milliseconds < 10_000 ? 2 : 1);
  return unit(milliseconds / 60_000, "minute", locale, 1);
}

/** Seconds of the Unix epoch as date and time; `exact` has seconds and the time zone. */
export function formatMoment(seconds: number, locale: string, exact = false): string {
  return dates(
    locale,
    exact ? { dateStyle: "full", timeStyle: "long" } : { dateStyle: "medium", timeStyle: "short" },
  ).format(seconds * 1000);
}

/** Only the day of a moment, in the person's time zone; `utc` in UTC. */
export function formatDay(seconds: number, locale: string, utc = false): string {
  return dates(locale, { dateStyle: "medium", ...(utc ? { timeZone: "UTC" } : {}) }).format(seconds * 1000);
}

/** The beginning of a step of a chart: a time of the day, in steps of a day the day (UTC, as the server cuts them). */
export function formatStep(seconds: number, stepSeconds: number, locale: string): string {
  const isDays = stepSeconds >= 86_400;
  return dates(
    locale,
    isDays ? { month: "short", day: "numeric", timeZone: "UTC" } : { hour: "2-digit", minute: "2-digit" },
  ).format(seconds * 1000);
}

/** How long ago, or how far ahead, in the largest unit that fits. */
export function formatRelative(seconds: number, nowSeconds: number, locale: string): string {
  const away = seconds - nowSeconds;
  const size = Math.abs(away);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  if (size < 45) return relative.format(0, "second");
  if (size < 45 * 60) return relative.format(Math.round(away / 60), "minute");
  if (size < 22 * 3600) return relative.format(Math.round(away / 3600), "hour");
  if (size < 26 * 86_400) return relative.format(Math.round(away / 86_400), "day");
  if (size < 320 * 86_400) return relative.format(Math.round(away / (30.44 * 86_400)), "month");
  return relative.format(Math.round(away / (365.25 * 86_400)), "year");
}

/** A length in tokens as it is said in every language: 128K, 1.05M. */
export function formatContext(tokens: number): string {
  return formatter("en-US", { notation: "compact", maximumSignificantDigits: 3 }).format(tokens);
}

function unit(
  value: number,
  name: "millisecond" | "second" | "minute",
  locale: string,
  places: number,
): string {
  return formatter(locale, {
    style: "unit",
    unit: name,
    unitDisplay: "narrow",
    maximumFractionDigits: places,
  }).format(value);
}

function placesOf(text: string): number {
  return (text.split(".")[1] ?? "").replace(/0+$/, "").length;
}

function sensiblePlaces(text: string): number {
  const size = Math.abs(Number(text));
  if (size === 0 || size >= 1) return 2;
  if (size >= 0.1) return 3;
  const leadingZeros = Math.floor(-Math.log10(size));
  return Math.min(9, leadingZeros + 3, Math.max(placesOf(text), 2));
}

const formatters = new Map<string, Intl.NumberFormat>();
function formatter(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const name = locale + JSON.stringify(options);
  let found = formatters.get(name);
  if (!found) {
    found = new Intl.NumberFormat(locale, options);
    formatters.set(name, found);
  }
  return found;
}

const dateFormatters = new Map<string, Intl.DateTimeFormat>();
function dates(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = locale + JSON.stringify(options);
  let found = dateFormatters.get(name);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, options);
    dateFormatters.set(name, found);
  }
  return found;
}

// What a channel's form finds out before the server does. Pure.

import type { TFunction } from "i18next";

type Words = TFunction<"operator">;

const NAME_CHARACTERS_MAX = 100;
/** Members of a request that Relay itself puts there; see services/dispatcher/overrides.py. */
const RESERVED = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "n",
  "max_tokens",
  "max_completion_tokens",
];

export interface Pair {
  name: string;
  value: string;
}

export interface Mapping {
  ours: string;
  theirs: string;
}

/** A name goes into addresses, where a slash would end it. */
export function problemOfName(name: string, t: Words): string | null {
  const tidy = name.trim();
  if (tidy === "") return t("channel.nameMissing");
  if (tidy.length > NAME_CHARACTERS_MAX) return t("channel.nameTooLong", { count: NAME_CHARACTERS_MAX });
  return /[/\\?#]/.test(tidy) ? t("channel.nameSlash") : null;
}

export function problemOfUrl(url: string, t: Words): string | null {
  const tidy = url.trim();
  if (tidy === "") return t("channel.urlMissing");
  return /^https?:\/\/[^\s/]+/.test(tidy) ? null : t("channel.urlWrong");
}

export function problemOfModels(models: readonly Mapping[], t: Words): string | null {
  const names = models.map(({ ours }) => ours.trim()).filter((name) => name !== "");
  if (names.length === 0) return t("channel.modelsMissing");
  if (models.some(({ ours, theirs }) => ours.trim() === "" && theirs.trim() !== ""))
    return t("channel.modelUnnamed");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? null : t("channel.modelTwice", { model: twice });
}

export function problemOfHeaders(pairs: readonly Pair[], t: Words): string | null {
  return problemOfNames(pairs, t);
}

/** Values are texts of JSON, so that a number stays a number. */
export function problemOfParameters(pairs: readonly Pair[], t: Words): string | null {
  for (const { name, value } of pairs) {
    if (RESERVED.includes(name.trim())) return t("channel.parameterReserved", { name: name.trim() });
    if (name.trim() !== "" && !isJson(value)) return t("channel.parameterNoJson", { name: name.trim() });
  }
  return problemOfNames(pairs, t);
}

function problemOfNames(pairs: readonly Pair[], t: Words): string | null {
  if (pairs.some(({ name, value }) => name.trim() === "" && value.trim() !== ""))
    return t("channel.pairUnnamed");
  const names = pairs.map(({ name }) => name.trim()).filter((name) => name !== "");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return twice === undefined ? null : t("channel.pairTwice", { name: twice });
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Lines as `ours` or `ours = theirs`. */
export function mappingsOf(text: string): Mapping[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      const at = line.indexOf("=");
      return at < 0
        ? { ours: line, theirs: "" }
        : { ours: line.slice(0, at).trim(), theirs: line.slice(at + 1).trim() };
    });
}

export function linesOf(mappings: readonly Mapping[]): string {
  return mappings
    .filter(({ ours, theirs }) => ours !== "" || theirs !== "")
    .map(({ ours, theirs }) => (theirs === "" || theirs === ours ? ours : `${ours} = ${theirs}`))
    .join("\n");
}

/** As the API takes them: our name → the upstream's, which is the same where nothing else was said. */
export function modelsOf(mappings: readonly Mapping[]): Record<string, string> {
  return Object.fromEntries(
    mappings
      .map(({ ours, theirs }): [string, string] => [ours.trim(), theirs.trim() || ours.trim()])
      .filter(([ours]) => ours !== ""),
  );
}

export function pairsOf(given: Record<string, string>): Pair[] {
  return Object.entries(given).map(([name, value]) => ({ name, value }));
}

export function recordOf(pairs: readonly Pair[]): Record<string, string> {
  return Object.fromEntries(
    pairs
      .map(({ name, value }): [string, string] => [name.trim(), value.trim()])
      .filter(([name]) => name !== ""),
  );
}

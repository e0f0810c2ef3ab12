/** The files of `tests/scenarios`, and the small words that they are written in. */
import { readdirSync, readFileSync } from 'node:fs';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Scenario {
  readonly name: string;
  /** Whether it runs against the real server too, in real time. */
  readonly real: boolean;
  readonly world: JsonObject;
  readonly steps: readonly JsonObject[];
}

const FOLDER = new URL('../../../../../tests/scenarios/', import.meta.url);

/** The scenarios of `folder`, by theme. */
export function themes(folder: 'client' | 'server'): { theme: string; scenarios: Scenario[] }[] {
  const at = new URL(`${folder}/`, FOLDER);
  const files = readdirSync(at).filter((name) => name.endsWith('.json'));
  return files.sort().map((name) => {
    const file = object(JSON.parse(readFileSync(new URL(name, at), 'utf8')), ['theme', 'scenarios']);
    return { theme: text(file.theme), scenarios: list(file.scenarios).flatMap(expand) };
  });
}

const KEYS = ['name', 'real', 'rules', 'cases', 'world', 'steps'];

/** The scenario, or one for each of its cases, whose value stands for `$case` in its world and steps. */
function expand(value: Json): Scenario[] {
  const { name, real, cases, world = {}, steps } = object(value, KEYS);
  const made = (label: string, fill: (value: Json) => Json): Scenario => ({
    name: text(name) + label,
    real: flag(real, false),
    world: object(fill(world)),
    steps: list(fill(list(steps))).map((step) => object(step)),
  });
  if (cases === undefined) return [made('', (json) => json)];
  return Object.entries(object(cases)).map(([label, one]) => made(`: ${label}`, (json) => filled(json, one)));
}

function filled(json: Json, one: Json): Json {
  if (json === '$case') return one;
  if (Array.isArray(json)) return json.map((item) => filled(item, one));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, filled(item, one)]));
}

/** The rows of `decisions.json`. */
export function decisions(): JsonObject[] {
  return list(JSON.parse(readFileSync(new URL('decisions.json', FOLDER), 'utf8'))).map((row) => object(row));
}

/** `value` as an object that has no members but `keys`, where those are given. */
export function object(value: Json | undefined, keys?: readonly string[]): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unreadable('an object', value);
  for (const key of Object.keys(value)) {
    if (keys !== undefined && !keys.includes(key)) throw new Error(`unknown member ${key}`);
  }
  return value;
}

export function list(value: Json | undefined): Json[] {
  if (!Array.isArray(value)) throw unreadable('a list', value);
  return value;
}

export function text(value: Json | undefined): string {
  if (typeof value !== 'string') throw unreadable('a text', value);
  return value;
}

/** One of `words`. */
export function word<W extends string>(value: Json | undefined, words: readonly W[]): W {
  const found = words.find((one) => one === value);
  if (found === undefined) throw unreadable(words.join(' or '), value);
  return found;
}

export function flag(value: Json | undefined, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw unreadable('true or false', value);
  return value;
}

const UNITS: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** A duration like `1h30s`, in ms. */
export function duration(value: Json | undefined): number {
  const said = text(value);
  const match = /^(-?)((?:\d+(?:ms|[dhms]))+)$/.exec(said);
  if (match === null) throw unreadable('a duration', said);
  let ms = 0;
  for (const [, count, unit] of (match[2] ?? '').matchAll(/(\d+)(ms|[dhms])/g)) {
    ms += Number(count) * (UNITS[unit ?? ''] ?? Number.NaN);
  }
  return match[1] === '-' ? -ms : ms;
}

/** `[least, most]`, or one value for both. */
export function range(value: Json, read: (end: Json | undefined) => number): [number, number] {
  if (!Array.isArray(value)) return [read(value), read(value)];
  if (value.length !== 2) throw unreadable('a range', value);
  return [read(value[0]), read(value[1])];
}

export function count(value: Json | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw unreadable('a whole number', value);
  return value;
}

function unreadable(what: string, value: Json | undefined): Error {
  return new Error(`expected ${what}, got ${JSON.stringify(value)}`);
}

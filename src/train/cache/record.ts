/** `cache.json`: what a cache folder holds and what it was made from. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { InputError } from '../../errors.js';
import { keyOf } from '../../infer/stage-cache.js';
import { writeJson } from './atomic.js';
import { type CacheKind, damaged, indexName, type Shard } from './shard-index.js';

const FORMAT = 'show1-cache';
const VERSION = 1;

/** Everything that a tensor follows from besides its caption or clip. */
export type Fingerprint = Readonly<Record<string, string | number>>;

/** A clip that cannot be read, as the loader will say it. */
export interface RejectedClip {
  id: string;
  path: string;
  /** As `skipped` of a training run: `truncated`, `not a video` … */
  reason: string;
  message: string;
}

export interface CacheSection {
  fingerprint: Fingerprint;
  /** False until the first run has come to its end. */
  complete: boolean;
  /** Captions or clips. */
  entries: number;
  /** Bytes of the shards. */
  bytes: number;
  /** Clips alone: those that cannot be read. */
  rejected?: RejectedClip[];
}

export type CacheRecord = { [kind in CacheKind]?: CacheSection };

export const stampOf = (fingerprint: Fingerprint): string => keyOf(fingerprint).slice(0, 32);

/**
 * Reads `dir/cache.json`; null when there is neither that nor anything else.
 * @throws InputError `cache.foreign` when the folder holds something else
 */
export function readRecord(dir: string): CacheRecord | null {
  const file = path.join(dir, 'cache.json');
  if (!existsSync(file)) {
    if (!existsSync(dir)) return null;
    const others = readdirSync(dir).filter(name => name !== '.lock');
    if (others.length === 0) return null;
    throw new InputError(
      `${dir} is no cache: it holds ${others.sort().slice(0, 5).join(', ')}, but no cache.json. Choose an empty or a new folder.`,
      { code: 'cache.foreign', dir },
    );
  }
  let json: { format?: unknown; version?: unknown } & CacheRecord;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new InputError(
      `${file} is not readable as JSON (${(cause as Error).message}); delete the folder and make the cache again.`,
      { code: 'cache.foreign', dir },
      cause,
    );
  }
  if (json?.format !== FORMAT || json.version !== VERSION) {
    throw new InputError(
      `${file} is not a cache of this version (format ${JSON.stringify(json?.format)}, version ${JSON.stringify(json?.version)}; ` +
        `needed: "${FORMAT}", ${VERSION}). Choose another folder.`,
      { code: 'cache.foreign', dir },
    );
  }
  const { format: _, version: __, ...sections } = json;
  return sections;
}

export async function writeRecord(dir: string, record: CacheRecord): Promise<void> {
  await writeJson(path.join(dir, 'cache.json'), { format: FORMAT, version: VERSION, ...record });
}

/** `KIND-index.json`: where each tensor is, and whatever else `extra` says. */
export type CacheIndex<T> = { shards: Shard[] } & T;

export async function writeIndex<T>(dir: string, kind: CacheKind, index: CacheIndex<T>): Promise<void> {
  await writeJson(path.join(dir, indexName(kind)), index);
}

/** @throws InputError `cache.damaged` */
export function readIndex<T>(dir: string, kind: CacheKind): CacheIndex<T> {
  const file = path.join(dir, indexName(kind));
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as CacheIndex<T>;
  } catch (cause) {
    throw damaged(dir, `${indexName(kind)} cannot be read (${(cause as Error).message})`, kind);
  }
}

/** `weights was 12ab…, is now 34cd…; maxLength was 77, is now 8`; '' where nothing differs. */
export function differences(was: Fingerprint, is: Fingerprint): string {
  const show = (value: string | number | undefined) =>
    value === undefined
      ? 'not there'
      : typeof value === 'string' && value.length > 24
        ? `${value.slice(0, 12)}…`
        : value;
  return [...new Set([...Object.keys(was), ...Object.keys(is)])]
    .filter(key => was[key] !== is[key])
    .map(key => `${key} was ${show(was[key])}, is now ${show(is[key])}`)
    .join('; ');
}

export interface Wanted {
  dir: string;
  kind: CacheKind;
  /** What the run would compute with; `dtype` may be left out: a run takes what is stored. */
  fingerprint: Fingerprint;
  /** A config file that `show1 data cache` can be given. */
  config: string;
}

const commandOf = ({ dir, kind, config }: Omit<Wanted, 'fingerprint'>): string =>
  `npx show1 data cache ${config} --out ${dir} --${kind}`;

/** The part of a cache, whatever it was made from. @throws InputError `cache.missing`, `cache.foreign` */
export function readSection(wanted: Omit<Wanted, 'fingerprint'>): CacheSection {
  const { dir, kind } = wanted;
  const section = readRecord(dir)?.[kind];
  if (section) return section;
  throw new InputError(`there is no ${kind} cache in ${dir} (data.cached.${kind}). Make it: ${commandOf(wanted)}`, {
    code: 'cache.missing',
    dir,
    kind,
  });
}

/**
 * The part of a cache that a run may use.
 * @throws InputError `cache.missing`, `cache.incomplete`, `cache.stale`, `cache.foreign`
 */
export function requireSection({ dir, kind, fingerprint, config }: Wanted): CacheSection {
  const command = commandOf({ dir, kind, config });
  const section = readSection({ dir, kind, config });
  const { dtype } = section.fingerprint;
  const changed = differences(section.fingerprint, { ...(dtype === undefined ? {} : { dtype }), ...fingerprint });
  if (changed) {
    throw new InputError(
      `the ${kind} cache ${dir} is stale: ${changed}. Make it again: ${command} --force (or undo the change, or leave out data.cached.${kind})`,
      { code: 'cache.stale', dir, kind, was: section.fingerprint, is: fingerprint },
    );
  }
  if (!section.complete) {
    throw new InputError(`the ${kind} cache ${dir} is not complete. Finish it: ${command}`, {
      code: 'cache.incomplete',
      dir,
      kind,
    });
  }
  return section;
}

/** The error for captions or clips that came after the cache was made. */
export function notCached(wanted: Wanted, what: readonly string[], total: number): InputError {
  const { dir, kind } = wanted;
  const some = what.slice(0, 3).map(name => JSON.stringify(name));
  return new InputError(
    `the ${kind} cache ${dir} is stale: it lacks ${what.length} of ${total} ${kind === 'text' ? 'captions' : 'clips'} ` +
      `(${some.join(', ')}${what.length > 3 ? ', …' : ''}). Add them: ${commandOf(wanted)}`,
    { code: 'cache.stale', dir, kind, missing: what.length },
  );
}

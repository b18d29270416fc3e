/** Reads a JSON config key by key, with types, and at the end names the keys that nobody asked for. */
import { nearest } from '../../config/nearest.js';
import { InputError } from '../../errors.js';
import type { JsonObject } from '../weights/pretrained.js';

type Value = string | number | boolean | null;
const show = (value: unknown) => JSON.stringify(value) ?? String(value);

export class ConfigReader {
  private readonly asked = new Set<string>();

  /** @param source where the config is from, @param noun what it configures: for messages */
  constructor(
    private readonly json: JsonObject,
    readonly source: string,
    private readonly noun = 'UNet',
  ) {}

  /** The value as it is, or the default where the key is absent. */
  raw(key: string, fallback: unknown): unknown {
    this.asked.add(key);
    return this.json[key] === undefined ? fallback : this.json[key];
  }

  private check<T>(key: string, fallback: T, accept: (value: unknown) => boolean, allowed: string): T {
    const value = this.raw(key, fallback);
    if (accept(value)) return value as T;
    throw new InputError(`${this.source}: ${key} is ${show(value)}; allowed: ${allowed}.`, {
      code: 'model.config-value',
      key,
      value,
    });
  }

  /** Only one value is supported. */
  fixed(key: string, value: Value): void {
    this.check(key, value, v => v === value, `${show(value)} only`);
  }

  choice<T extends Value>(key: string, values: readonly T[], fallback: T): T {
    return this.check(key, fallback, v => values.includes(v as T), values.map(show).join(', '));
  }

  choices(key: string, values: readonly string[], fallback: string[]): string[] {
    const accept = (v: unknown) => Array.isArray(v) && v.length > 0 && v.every(item => values.includes(item));
    return this.check(key, fallback, accept, `a list of ${values.join(', ')}`);
  }

  flag(key: string, fallback: boolean): boolean {
    return this.choice(key, [true, false], fallback);
  }

  flags(key: string, fallback: boolean): boolean | boolean[] {
    const isFlag = (v: unknown) => typeof v === 'boolean';
    return this.check<boolean | boolean[]>(key, fallback, oneOrMore(isFlag), 'true, false, or a list with one a level');
  }

  number(key: string, fallback: number): number {
    return this.check(key, fallback, v => typeof v === 'number' && Number.isFinite(v), 'a number');
  }

  count(key: string, fallback: number): number {
    return this.check(key, fallback, isCount, 'a whole number from 1');
  }

  countOrNull(key: string): number | null {
    return this.check<number | null>(key, null, v => v === null || isCount(v), 'null or a whole number from 1');
  }

  counts(key: string, fallback: number[]): number[] {
    const accept = (v: unknown) => Array.isArray(v) && v.length > 0 && v.every(isCount);
    return this.check(key, fallback, accept, 'a list of whole numbers from 1');
  }

  perLevel(key: string, fallback: number): number | number[] {
    return this.check<number | number[]>(key, fallback, oneOrMore(isCount), 'a whole number from 1, or a list of them');
  }

  /** A kernel size that keeps the image's. */
  odd(key: string, fallback: number): number {
    return this.check(key, fallback, v => isCount(v) && (v as number) % 2 === 1, 'an odd number from 1');
  }

  sampleSize(key: string): number | number[] | null {
    const accept = (v: unknown) => v === null || oneOrMore(isCount)(v);
    return this.check<number | number[] | null>(key, null, accept, 'null, a size, or [height, width]');
  }

  /**
   * Call when every option was read. Keys that start with `_` are notes; an unknown option that is null or false is
   * switched off and changes nothing (newer libraries write such).
   * @throws InputError naming an unknown option and the nearest known one
   */
  finish(): void {
    for (const [key, value] of Object.entries(this.json)) {
      if (key.startsWith('_') || this.asked.has(key) || value === null || value === false) continue;
      const near = nearest(key, this.asked);
      throw new InputError(
        `${this.source}: ${key} (${show(value)}) is not an option of this ${this.noun}.${near ? ` Did you mean ${near}?` : ` It has ${[...this.asked].join(', ')}.`}`,
        { code: 'model.config-key', key, value, nearest: near },
      );
    }
  }
}

const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 1;
const oneOrMore = (accept: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) ? value.length > 0 && value.every(accept) : accept(value);

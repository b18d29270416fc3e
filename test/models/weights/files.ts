/** Builds safetensors files byte by byte, right and wrong. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];
afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
});

/** A fresh folder, removed when the test file is done. */
export function tempFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'show1-test-'));
  made.push(dir);
  return dir;
}

/** File bytes from a header (object, or JSON text) and data. */
export function fileBytes(header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

/** Writes the file in a fresh folder. @returns its path */
export function rawFile(bytes: Uint8Array, name = 'x.safetensors'): string {
  const file = join(tempFolder(), name);
  writeFileSync(file, bytes);
  return file;
}

/** The value that `fn` throws (or rejects with); fails when it does not. */
export async function thrown(fn: () => unknown): Promise<Error & { code?: string }> {
  try {
    await fn();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

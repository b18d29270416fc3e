import { writeFileSync } from 'node:fs';

export interface TarFile {
  name: string;
  data: Buffer | string;
  /** tar's type flag: `0` a file (default), `5` a folder, `x` a pax header, `L` a GNU long name. */
  type?: string;
}

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;

function header({ name, data, type = '0' }: TarFile): Buffer {
  const block = Buffer.alloc(512);
  block.write(name.slice(0, 100), 0);
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(Buffer.byteLength(data), 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((a, b) => a + b, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** A ustar archive of files in memory; returns where each one's bytes lie. */
export function writeTar(path: string, files: readonly TarFile[]): { start: number; end: number }[] {
  const blocks: Buffer[] = [];
  const places: { start: number; end: number }[] = [];
  let at = 0;
  for (const file of files) {
    const data = Buffer.from(file.data);
    const padding = Buffer.alloc((512 - (data.length % 512)) % 512);
    places.push({ start: at + 512, end: at + 512 + data.length });
    blocks.push(header(file), data, padding);
    at += 512 + data.length + padding.length;
  }
  writeFileSync(path, Buffer.concat([...blocks, Buffer.alloc(1024)]));
  return places;
}

/** The pax header that gives the next member its name. */
export function paxName(name: string): TarFile {
  const record = ` path=${name}\n`;
  let length = Buffer.byteLength(record) + 2;
  while (String(length).length + Buffer.byteLength(record) !== length) length++;
  return { name: 'PaxHeader/long', data: `${length}${record}`, type: 'x' };
}

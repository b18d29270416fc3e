/** 16-bit floats: IEEE binary16 (F16) and bfloat16 (BF16) to and from float32, rounding to nearest, ties to even. */

const scratch = new Uint32Array(1);
const scratchFloat = new Float32Array(scratch.buffer);

let halfTable: Uint32Array | undefined;

/** float32 bits of each of the 65,536 halves. */
function halfBits(): Uint32Array {
  if (halfTable) return halfTable;
  halfTable = new Uint32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >>> 10) & 31;
    const fraction = h & 0x3ff;
    if (exponent === 31) halfTable[h] = sign | 0x7f800000 | (fraction << 13);
    else if (exponent > 0) halfTable[h] = sign | ((exponent + 112) << 23) | (fraction << 13);
    else {
      scratchFloat[0] = fraction * 2 ** -24; // subnormal: exact in float32
      halfTable[h] = sign | scratch[0]!;
    }
  }
  return halfTable;
}

/** F16 bit patterns to float32. */
export function decodeF16(bits: Uint16Array, out: Float32Array): void {
  const table = halfBits();
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) words[i] = table[bits[i]!]!;
}

/** BF16 bit patterns to float32. */
export function decodeBF16(bits: Uint16Array, out: Float32Array): void {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
}

/** float32 to BF16 bit patterns; beyond the largest finite value it rounds to infinity; every NaN becomes a quiet one. */
export function encodeBF16(values: Float32Array, out: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) {
    const w = words[i]!;
    out[i] = (w & 0x7fffffff) > 0x7f800000 ? ((w >>> 16) & 0x8000) | 0x7fc0 : (w + 0x7fff + ((w >>> 16) & 1)) >>> 16;
  }
}

/** float32 to F16 bit patterns; from 65520 on it rounds to infinity; every NaN becomes a quiet one. */
export function encodeF16(values: Float32Array, out: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) {
    const w = words[i]!;
    const sign = (w >>> 16) & 0x8000;
    const magnitude = w & 0x7fffffff;
    if (magnitude > 0x7f800000) out[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000)
      out[i] = sign | 0x7c00; // >= 65520
    else if (magnitude >= 0x38800000) {
      // normal half: rebias the exponent, then round the 13 dropped bits (a carry walks into the exponent by itself)
      const rebiased = magnitude - 0x38000000;
      out[i] = sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
    } else {
      // subnormal half: adding 0.5 aligns the value to units of 2^-24 and lets the FPU round to even
      scratch[0] = magnitude;
      scratchFloat[0] = scratchFloat[0]! + 0.5;
      out[i] = sign | (scratch[0]! - 0x3f000000);
    }
  }
}

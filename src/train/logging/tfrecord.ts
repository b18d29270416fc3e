/** TFRecord framing: length u64, masked CRC of the length, data, masked CRC of the data; little-endian. */
import { crc32c } from '@node-rs/crc32';

/** TensorFlow's masking of a CRC-32C (tensorflow/tsl/lib/hash/crc32c.h): rotated right by 15, plus a constant. */
export function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** One framed record, `data.length + 16` bytes. */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

import { describe, expect, it } from 'vitest';
import { tf, upload } from '../../src/engine/index.js';
import { nativeBackend } from '../../src/engine/raw.js';
import { encodeBF16, encodeF16 } from '../../src/models/weights/half.js';

const VALUES = Float32Array.of(0, -0, 1, -2.5, 65504, 2 ** -24);
const bytesOf = (array: Float32Array | Uint16Array) => new Uint8Array(array.buffer);

describe('upload', () => {
  it('copies float32 values at once: the array may be overwritten', () => {
    const values = VALUES.slice();
    const x = upload(bytesOf(values), 'F32', [2, 3]);
    values.fill(7);
    expect(x.shape).toEqual([2, 3]);
    expect(x.dtype).toBe('float32');
    expect(x.dataSync()).toEqual(VALUES);
    expect(nativeBackend().tensorMap.get(x.dataId).values).toBeNull(); // nothing waits in JavaScript
    x.dispose();
  });

  it('widens half floats and bfloat16, exactly', () => {
    const half = new Uint16Array(6);
    encodeF16(VALUES, half);
    const a = upload(bytesOf(half), 'F16', [6]);
    expect(a.dataSync()).toEqual(VALUES);
    const brain = new Uint16Array(6);
    encodeBF16(VALUES, brain);
    const b = upload(bytesOf(brain), 'BF16', [6]);
    expect(Array.from(b.dataSync())).toEqual([0, -0, 1, -2.5, 65536, 2 ** -24]);
    tf.dispose([a, b]);
  });

  it('leaves no native tensor behind', () => {
    const { binding } = nativeBackend();
    const before = [binding.getNumOfTensors(), tf.memory().numTensors];
    upload(new Uint8Array(8), 'F16', [2, 2]).dispose();
    expect([binding.getNumOfTensors(), tf.memory().numTensors]).toEqual(before);
  });

  it('refuses bytes that do not fill the shape', () => {
    expect(() => upload(new Uint8Array(8), 'F32', [3])).toThrow('8 bytes do not fill a tensor of 3 elements');
  });
});

import { describe, expect, it } from 'vitest';
import {
  DDIMScheduler,
  DDPMScheduler,
  doubleBatch,
  dropVariance,
  guide,
  varianceHandling,
} from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

const [u, c] = [gaussian([2, 2, 3, 3, 6]), gaussian([2, 2, 3, 3, 6], 2)];
const batch = tf.concat([u, c]);
const first = (x: typeof u) => x.slice([0, 0, 0, 0, 0], [-1, -1, -1, -1, 3]);
const second = (x: typeof u) => x.slice([0, 0, 0, 0, 3], [-1, -1, -1, -1, 3]);

describe('guide', () => {
  it('moves from the unconditional prediction towards and past the conditional one', () => {
    expect(distance(guide(batch, { scale: 0 }), u)).toBe(0);
    expect(distance(guide(batch, { scale: 1 }), c)).toBeLessThan(1e-6);
    expect(distance(guide(batch, { scale: 9 }), u.add(c.sub(u).mul(9)))).toBeLessThan(1e-5);
    expect(distance(guide(batch, { scale: tf.scalar(9) }), guide(batch, { scale: 9 }))).toBe(0);
  });

  it('keeps the conditional variance unguided, or drops it', () => {
    const guided = first(u).add(first(c).sub(first(u)).mul(4));
    const kept = guide(batch, { scale: 4, variance: 'keep' });
    expect(kept.shape).toEqual([2, 2, 3, 3, 6]);
    expect(distance(first(kept), guided)).toBeLessThan(1e-5);
    expect(distance(second(kept), second(c))).toBe(0);
    const dropped = guide(batch, { scale: 4, variance: 'drop' });
    expect(distance(dropped, guided)).toBeLessThan(1e-5);
    expect(distance(dropVariance(batch), first(batch))).toBe(0);
  });

  it('takes channels on any axis', () => {
    const channelsFirst = guide(batch.transpose([0, 4, 1, 2, 3]), { scale: 3, variance: 'keep', channelAxis: 1 });
    const channelsLast = guide(batch, { scale: 3, variance: 'keep' });
    expect(distance(channelsFirst, channelsLast.transpose([0, 4, 1, 2, 3]))).toBe(0);
  });

  it('asks the scheduler what to do with the variance', () => {
    const learned = new DDPMScheduler({ variance_type: 'learned_range' });
    expect(varianceHandling(6, 3, learned)).toBe('keep');
    expect(varianceHandling(6, 3, new DDPMScheduler())).toBe('drop');
    expect(varianceHandling(6, 3, new DDIMScheduler())).toBe('drop');
    expect(varianceHandling(3, 3, learned)).toBe('none');
    expect(() => varianceHandling(4, 3, learned)).toThrow(/gives 4 channels for a sample of 3/);
  });

  it('refuses an odd batch and odd channels', () => {
    expect(() => guide(gaussian([3, 2, 2, 4]), { scale: 2 })).toThrow(/its size is 3/);
    expect(() => guide(gaussian([2, 2, 2, 3]), { scale: 2, variance: 'drop' })).toThrow(/has 3 on axis 3/);
  });

  it('leaks nothing', () => {
    expectNoLeak(() => guide(batch, { scale: 4, variance: 'keep' }));
    expectNoLeak(() => [dropVariance(batch), doubleBatch(u)]);
  });
});

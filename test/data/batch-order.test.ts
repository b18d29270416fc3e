import { describe, expect, it } from 'vitest';
import { createBatchOrder, createGroupOrder, placeOf } from '../../src/data/batch-order.js';

const groups = [
  { clips: 10, batchSize: 4 },
  { clips: 3, batchSize: 4 },
  { clips: 7, batchSize: 2 },
];
const steps = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('the order of batches of several groups', () => {
  it('shows one group alone batch by batch', () => {
    const order = createGroupOrder([groups[0]!], 1);
    expect(steps(5).map(order)).toEqual(steps(5).map(batch => ({ group: 0, batch })));
  });

  it('gives each group its batches in turn, and as many as its clips ask for', () => {
    const order = createGroupOrder(groups, 1);
    // 4 epochs: 40 / 4 + 12 / 4 + 28 / 2 batches, all remainders used up.
    const shown = steps(10 + 3 + 14).map(order);
    groups.forEach((_, g) => {
      const own = shown.filter(({ group }) => group === g).map(({ batch }) => batch);
      expect(own).toEqual(steps([10, 3, 14][g]!));
    });
  });

  it('never lets a small group starve: after any number of epochs a group is less than a batch behind', () => {
    const small = { clips: 1, batchSize: 8 };
    const order = createGroupOrder([{ clips: 1000, batchSize: 8 }, small], 3);
    const shown = steps(125 * 16 + 2).map(order);
    expect(shown.filter(({ group }) => group === 1)).toHaveLength(2); // 16 epochs: 16 samples of the one clip
  });

  it('depends on the seed and the step alone, whatever was asked before', () => {
    const straight = steps(60).map(createGroupOrder(groups, 1));
    const order = createGroupOrder(groups, 1);
    for (const step of [59, 3, 31, 30, 0, 58, 7]) expect(order(step)).toEqual(straight[step]);
    expect(steps(60).map(createGroupOrder(groups, 2))).not.toEqual(straight);
    const names = straight.map(({ group }) => group).join('');
    expect(names.slice(0, 20)).not.toBe(names.slice(20, 40)); // another order each epoch
  });

  it('finds a step far away at once', () => {
    const far = 1e9;
    const order = createGroupOrder(groups, 1);
    const { group, batch } = order(far);
    const share = groups.map(({ clips, batchSize }) => clips / batchSize);
    const expected = (far * share[group]!) / share.reduce((a, b) => a + b);
    expect(Math.abs(batch - expected)).toBeLessThan(10);
  });
});

describe('pictures among videos', () => {
  it('take their exact share of each 64 steps, in a drawn order', () => {
    const order = createBatchOrder(groups, 1, [{ clips: 5, batchSize: 3 }], 0.3);
    const kinds = steps(640).map(step => order.at(step).kind);
    for (let block = 0; block < 10; block++) {
      const pictures = kinds.slice(64 * block, 64 * block + 64).filter(kind => kind === 'image').length;
      expect(Math.abs(pictures - 19.2)).toBeLessThan(1);
    }
    expect(kinds.filter(kind => kind === 'image')).toHaveLength(192);
    expect(kinds.slice(0, 64)).not.toEqual(kinds.slice(64, 128));
  });

  it('leave no batch of either kind out', () => {
    const mixed = createBatchOrder(groups, 1, [{ clips: 5, batchSize: 3 }], 0.3);
    const shown = steps(300).map(step => mixed.at(step));
    const videos = shown.filter(({ kind }) => kind === 'video').map(({ group, batch }) => ({ group, batch }));
    expect(videos).toEqual(steps(videos.length).map(createGroupOrder(groups, 1)));
    const pictures = shown.filter(({ kind }) => kind === 'image').map(({ batch }) => batch);
    expect(pictures).toEqual(steps(pictures.length));
    const again = createBatchOrder(groups, 1, [{ clips: 5, batchSize: 3 }], 0.3);
    for (const step of [299, 64, 63, 0, 128]) expect(again.at(step)).toEqual(shown[step]);
  });

  it('a share of none is no share', () => {
    const order = createBatchOrder(groups, 1, [{ clips: 5, batchSize: 3 }], 0);
    expect(steps(100).every(step => order.at(step).kind === 'video')).toBe(true);
    expect(order.batchesPerEpoch).toBe(3 + 1 + 4);
  });
});

it('a sample of a group has its epoch and place', () => {
  expect([placeOf(0, 3), placeOf(7, 3)]).toEqual([
    { epoch: 0, place: 0 },
    { epoch: 2, place: 1 },
  ]);
});

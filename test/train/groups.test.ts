import { describe, expect, it } from 'vitest';
import { assignGroups, describeGroup } from '../../src/train/groups.js';

const tensors = [
  { name: 'conv_in.weight', shape: [3, 3, 3, 8] },
  { name: 'conv_in.bias', shape: [8] },
  { name: 'up_blocks.0.temp_attentions.0.to_q.weight', shape: [8, 8] },
  { name: 'up_blocks.0.temp_attentions.0.norm.weight', shape: [8] },
  { name: 'mid_block.resnets.0.conv1.weight', shape: [3, 3, 8, 8] },
];
const run = { groups: [], learningRate: 1e-3, weightDecay: 0.1 };
const decays = (changes: Partial<Parameters<typeof assignGroups>[1]>) =>
  assignGroups(tensors, { ...run, ...changes }).hyper.map(h => h.weightDecay);
const rates = (changes: Partial<Parameters<typeof assignGroups>[1]>) =>
  assignGroups(tensors, { ...run, ...changes }).hyper.map(h => h.rateScale);

describe('assignGroups', () => {
  it('without groups: the run’s rate, and vectors do not decay', () => {
    expect(assignGroups(tensors, run)).toEqual({
      hyper: [0.1, 0, 0.1, 0, 0.1].map(weightDecay => ({ rateScale: 1, weightDecay })),
      groups: [],
    });
  });

  it('the first group that matches wins; scale, own rate and own decay', () => {
    const groups = [
      { match: ['**.norm.*'], learningRateScale: 0 },
      { match: ['**.temp_attentions.**', 'mid_block.**'], learningRate: 5e-4, weightDecay: 0.3 },
    ];
    expect(rates({ groups })).toEqual([1, 1, 0.5, 0, 0.5]);
    expect(decays({ groups })).toEqual([0.1, 0, 0.3, 0, 0.3]);
    const { groups: summaries } = assignGroups(tensors, { ...run, groups });
    expect(summaries.map(g => [g.match[0], g.tensors, g.parameters, g.learningRate])).toEqual([
      ['**.norm.*', 1, 8, 0],
      ['**.temp_attentions.**', 2, 64 + 576, 5e-4],
      ['(the rest)', 2, 216 + 8, 1e-3],
    ]);
    expect(describeGroup(summaries[2]!)).toBe(
      'group (the rest): 2 tensors, 224 parameters, learning rate 0.001, weight decay 0.1 (1 tensors none)',
    );
  });

  it('decay leaves out what is listed, vectors or not', () => {
    expect(decays({ weightDecayExclude: ['conv_in.*'] })).toEqual([0, 0, 0.1, 0.1, 0.1]);
    expect(decays({ weightDecayExclude: [] })).toEqual([0.1, 0.1, 0.1, 0.1, 0.1]);
  });

  it('refuses globs that match nothing, and a group that earlier ones leave nothing', () => {
    expect(() => rates({ groups: [{ match: ['conv_in.*', 'down_blocks.**'] }] })).toThrow(
      /train\.groups\.0\.match: the glob "down_blocks\.\*\*" matches none of the 5 tensors that train.*conv_in\.weight/,
    );
    expect(() => decays({ weightDecayExclude: ['**.gain'] })).toThrow(
      /train\.weightDecayExclude: the glob "\*\*\.gain"/,
    );
    expect(() => rates({ groups: [{ match: ['**'] }, { match: ['conv_in.*'] }] })).toThrow(
      /train\.groups\.1\.match \(conv_in\.\*\) takes nothing: earlier groups took all.*narrower group first/,
    );
  });
});

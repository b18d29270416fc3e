/** Spellings of I3D: the ports to PyTorch, and the variables of the TensorFlow graph (release and hub module alike). */
import { readUnit, type UnitLayout } from './layout.js';

const MIXED = /^mixed_(3[bc]|4[b-f]|5[bc])$/i;
const STEM = ['Conv3d_1a_7x7', 'Conv3d_2b_1x1', 'Conv3d_2c_3x3'];

const stemOf = (unit: string) => STEM.find(name => name.toLowerCase() === unit.toLowerCase()) ?? null;

/** Joins a mixed block and a unit of it, each in our spelling. */
function inMixed(block: string | undefined, unit: string | undefined): string | null {
  return block && unit && MIXED.test(block) ? `Mixed_${block.slice(6)}.${unit}` : null;
}

/** `branch_1.0` and the like of hassony2. */
const BRANCHES: Record<string, string> = {
  branch_0: 'b0',
  'branch_1.0': 'b1a',
  'branch_1.1': 'b1b',
  'branch_2.0': 'b2a',
  'branch_2.1': 'b2b',
  'branch_3.1': 'b3b',
};

/** TensorFlow's. Mixed_5b's second unit of Branch_2 is misspelt `0a_3x3` in the original. */
const SCOPES: Record<string, string> = {
  'Branch_0.Conv3d_0a_1x1': 'b0',
  'Branch_1.Conv3d_0a_1x1': 'b1a',
  'Branch_1.Conv3d_0b_3x3': 'b1b',
  'Branch_2.Conv3d_0a_1x1': 'b2a',
  'Branch_2.Conv3d_0a_3x3': 'b2b',
  'Branch_2.Conv3d_0b_3x3': 'b2b',
  'Branch_3.Conv3d_0b_1x1': 'b3b',
};

export const I3D_LAYOUTS: readonly UnitLayout[] = [
  {
    name: 'pytorch-i3d',
    label: 'piergiaj/pytorch-i3d, VideoGPT',
    order: 'torch',
    read: tensor =>
      readUnit(tensor, unit => {
        if (unit === 'logits' || STEM.includes(unit)) return unit;
        const [block, branch, ...rest] = unit.split('.');
        return rest.length === 0 && /^b(0|1a|1b|2a|2b|3b)$/.test(branch ?? '') ? inMixed(block, branch) : null;
      }),
  },
  {
    name: 'kinetics-i3d-pytorch',
    label: 'hassony2/kinetics_i3d_pytorch',
    order: 'torch',
    read: tensor =>
      readUnit(tensor, unit => {
        if (unit === 'conv3d_0c_1x1') return 'logits';
        const [block, ...branch] = unit.split('.');
        return branch.length === 0 ? stemOf(unit) : inMixed(block, BRANCHES[branch.join('.')]);
      }),
  },
  {
    name: 'tensorflow',
    label: 'deepmind/kinetics-i3d and TF-Hub variables',
    order: 'tensorflow',
    read: tensor =>
      readUnit(tensor.replace(/^(RGB.)?inception_i3d./, ''), unit => {
        if (unit === 'Logits.Conv3d_0c_1x1') return 'logits';
        const [block, ...branch] = unit.split('.');
        return branch.length === 0 ? stemOf(unit) : inMixed(block, SCOPES[branch.join('.')]);
      }),
  },
];

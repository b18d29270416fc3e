/** Spellings of the Inception network of the FID. */
import { readUnit, type UnitLayout } from './layout.js';

const STEM = ['Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3', 'Conv2d_3b_1x1', 'Conv2d_4a_3x3'];
const MIXED = ['5b', '5c', '5d', '6a', '6b', '6c', '6d', '6e', '7a', '7b', '7c'].map(name => `Mixed_${name}`);

/** pytorch-fid's wrapper keeps the same units as `blocks.<block>.<place>`; pools have places too. */
const BLOCKS: Record<string, string> = Object.fromEntries(
  [STEM.slice(0, 3), STEM.slice(3), MIXED.slice(0, 8), MIXED.slice(8)].flatMap((names, block) =>
    names.map((name, place) => [`blocks.${block}.${place}`, name]),
  ),
);

const row = (prefix: string, ours: string, names: readonly string[]): [string, string][] =>
  names.map((name, i) => [name, `${prefix}${ours}${i + 1}`]);
const CHAIN = ['conv', 'conv_1', 'conv_2', 'conv_3', 'conv_4'];
const chain = (tower: string, length: number) => CHAIN.slice(0, length).map(name => `${tower}.${name}`);

/**
 * Units of a mixed block in the TensorFlow graph's own names, as the TorchScript file of StyleGAN and clean-fid has them (told
 * by a published converter of it: `<unit>.weight`, `.beta`, `.mean`, `.var`).
 */
const TOWERS: Record<'A' | 'B' | 'C' | 'D' | 'E', Record<string, string>> = {
  A: Object.fromEntries([
    ['conv', 'branch1x1'],
    ...row('', 'branch5x5_', chain('tower', 2)),
    ...row('', 'branch3x3dbl_', chain('tower_1', 3)),
    ['tower_2.conv', 'branch_pool'],
  ]),
  B: Object.fromEntries([['conv', 'branch3x3'], ...row('', 'branch3x3dbl_', chain('tower', 3))]),
  C: Object.fromEntries([
    ['conv', 'branch1x1'],
    ...row('', 'branch7x7_', chain('tower', 3)),
    ...row('', 'branch7x7dbl_', chain('tower_1', 5)),
    ['tower_2.conv', 'branch_pool'],
  ]),
  D: Object.fromEntries([...row('', 'branch3x3_', chain('tower', 2)), ...row('', 'branch7x7x3_', chain('tower_1', 4))]),
  E: {
    conv: 'branch1x1',
    'tower.conv': 'branch3x3_1',
    'tower.mixed.conv': 'branch3x3_2a',
    'tower.mixed.conv_1': 'branch3x3_2b',
    'tower_1.conv': 'branch3x3dbl_1',
    'tower_1.conv_1': 'branch3x3dbl_2',
    'tower_1.mixed.conv': 'branch3x3dbl_3a',
    'tower_1.mixed.conv_1': 'branch3x3dbl_3b',
    'tower_2.conv': 'branch_pool',
  },
};
const BLOCK_KINDS = 'AAABCCCCDEE';

function towerUnit(unit: string): string | null {
  const [first, ...rest] = unit.replace(/^layers\./, '').split('.');
  const place = (stem: string) => (first === stem ? 0 : Number(new RegExp(`^${stem}_(\\d+)$`).exec(first!)?.[1]));
  const stem = STEM[place('conv')];
  if (stem) return rest.length === 0 ? stem : null;
  const block = place('mixed');
  const kind = BLOCK_KINDS[block] as keyof typeof TOWERS | undefined;
  if (!kind) return null;
  // The last blocks write their towers with underscores: `tower_1_mixed_conv_1`.
  const inside = rest
    .join('.')
    .replace(/^(tower(?:_\d)?)_(mixed_)?conv/, (_, tower: string, mixed?: string) =>
      mixed ? `${tower}.mixed.conv` : `${tower}.conv`,
    );
  const name = TOWERS[kind][inside];
  return name ? `${MIXED[block]}.${name}` : null;
}

/** Classifiers, which the features do not need. */
const aside = (tensor: string) => (/^(fc|output|AuxLogits|.*\.AuxLogits)\b/.test(tensor) ? 'aside' : null);

export const INCEPTION_LAYOUTS: readonly UnitLayout[] = [
  {
    name: 'pytorch-fid',
    label: 'pytorch-fid, torchvision',
    order: 'torch',
    read: tensor =>
      aside(tensor) ??
      readUnit(tensor, unit => {
        if (STEM.includes(unit)) return unit;
        const [block, branch, ...rest] = unit.split('.');
        return rest.length === 0 && MIXED.includes(block!) && branch?.startsWith('branch') ? unit : null;
      }),
    note: 'torchvision’s own ImageNet weights have this layout too, and give other scores: the FID needs pt_inception-2015-12-05',
  },
  {
    name: 'pytorch-fid-blocks',
    label: 'pytorch-fid’s wrapper (blocks.*)',
    order: 'torch',
    read: tensor =>
      readUnit(tensor, unit => {
        const [word, block, place, ...branch] = unit.split('.');
        const name = BLOCKS[`${word}.${block}.${place}`];
        return name && branch.length === (name.startsWith('Mixed') ? 1 : 0) ? [name, ...branch].join('.') : null;
      }),
  },
  {
    name: 'stylegan-inception',
    label: 'inception-2015-12-05.pt of StyleGAN and clean-fid',
    order: 'torch',
    read: tensor => aside(tensor) ?? readUnit(tensor, towerUnit),
  },
];

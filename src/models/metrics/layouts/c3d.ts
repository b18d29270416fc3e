/** Spellings of C3D. */
import { readUnit, type UnitLayout } from './layout.js';

const UNITS = ['conv1', 'conv2', 'conv3a', 'conv3b', 'conv4a', 'conv4b', 'conv5a', 'conv5b', 'fc6', 'fc7', 'fc8'];

/** Places in the `nn.Sequential`s of the weights that were converted from Caffe. */
const SEQUENTIAL: Record<string, string> = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3a',
  'features.8': 'conv3b',
  'features.11': 'conv4a',
  'features.13': 'conv4b',
  'features.16': 'conv5a',
  'features.18': 'conv5b',
  'classifier.0': 'fc6',
  'classifier.3': 'fc7',
  'classifier.6': 'fc8',
};

const note =
  'the last pool is Caffe’s (ceil): if these weights were trained in PyTorch, where it is padded, convert with --pool5 padded';

export const C3D_LAYOUTS: readonly UnitLayout[] = [
  {
    name: 'c3d-pytorch',
    label: 'DavideA/c3d-pytorch, jfzhang95/pytorch-video-recognition',
    order: 'torch',
    read: tensor => readUnit(tensor, unit => (UNITS.includes(unit) ? unit : null)),
    note,
  },
  {
    name: 'c3d-sequential',
    label: 'ucf101-caffe.pth (features.*, classifier.*)',
    order: 'torch',
    read: tensor => readUnit(tensor, unit => SEQUENTIAL[unit] ?? null),
  },
  {
    name: 'c3d-caffe',
    label: "tgan2's conv3d_deepnetA_ucf.npz (conv1a/W)",
    order: 'torch',
    read: tensor =>
      readUnit(tensor, unit => {
        const name = unit.replace(/^conv([12])a$/, 'conv$1');
        return name !== unit || !/^conv[12]$/.test(unit) ? (UNITS.find(known => known === name) ?? null) : null;
      }),
  },
  {
    name: 'mmaction2',
    label: 'open-mmlab/mmaction2',
    order: 'torch',
    read: tensor =>
      readUnit(tensor, unit => {
        if (unit === 'cls_head.fc_cls') return 'fc8';
        const name = unit.replace(/^backbone\./, '').replace(/^conv([12])a$/, 'conv$1');
        return unit.startsWith('backbone.') && UNITS.includes(name) ? name : null;
      }),
    note,
  },
];

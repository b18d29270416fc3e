/**
 * The mixed blocks of Inception v3 (Szegedy et al. 2015) with torchvision's names and, in their pools, the arithmetic of the
 * TensorFlow graph of 2015-12-05 (pytorch-fid, inception.py): averages leave padding out, the last block takes a maximum.
 */
import { type Tensor, tf } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { ConvUnit2d } from './conv-unit.js';

type Tensor4D = ReturnType<typeof tf.tensor4d>;
type Unit = readonly [name: string, out: number, kernel: readonly [number, number]];

/** Average of 3x3 that counts only what is there; the size stays. */
const averagePool = (x: Tensor) => tf.avgPool(x as Tensor4D, 3, 1, 'same');
const maxPool = (x: Tensor) => tf.maxPool(x as Tensor4D, 3, 1, 'same');
/** Maximum of 3x3 at every second place where it fits: [N, H, W, C] -> [N, ⌊(H-1)/2⌋, ⌊(W-1)/2⌋, C]. */
export const reducePool = (x: Tensor): Tensor => tf.maxPool(x as Tensor4D, 3, 2, 'valid');

abstract class InceptionBlock extends Block {
  abstract readonly outChannels: number;

  /** Units one after another; the last one of a chain that reduces has stride 2 and no padding. */
  protected chain(inChannels: number, units: readonly Unit[], reduces = false): ConvUnit2d[] {
    let width = inChannels;
    return units.map(([name, out, kernel], i) => {
      const options = reduces && i === units.length - 1 ? ({ stride: 2, padding: 'valid' } as const) : {};
      const unit = this.child(name, new ConvUnit2d(width, out, kernel, options));
      width = out;
      return unit;
    });
  }

  protected run(units: readonly ConvUnit2d[], x: Tensor): Tensor {
    return units.reduce((h, unit) => unit.forward(h), x);
  }
}

/** Several chains and an average pool, side by side. */
class AveragedBlock extends InceptionBlock {
  readonly outChannels: number;
  private readonly branches: ConvUnit2d[][];
  private readonly pool: ConvUnit2d[];

  constructor(inChannels: number, branches: readonly (readonly Unit[])[], poolFeatures: number) {
    super();
    this.branches = branches.map(units => this.chain(inChannels, units));
    this.pool = this.chain(inChannels, [['branch_pool', poolFeatures, [1, 1]]]);
    this.outChannels = [...this.branches, this.pool].reduce((sum, units) => sum + units.at(-1)!.outChannels, 0);
  }

  /** x [N, H, W, in] -> [N, H, W, out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const branches = this.branches.map(units => this.run(units, x));
      return tf.concat([...branches, this.run(this.pool, averagePool(x))], 3);
    });
  }
}

type Channels = (published: number) => number;

/** 35x35: `Mixed_5b`, `Mixed_5c`, `Mixed_5d`. */
export const inceptionA = (inChannels: number, poolFeatures: number, c: Channels): AveragedBlock =>
  new AveragedBlock(
    inChannels,
    [
      [['branch1x1', c(64), [1, 1]]],
      [
        ['branch5x5_1', c(48), [1, 1]],
        ['branch5x5_2', c(64), [5, 5]],
      ],
      [
        ['branch3x3dbl_1', c(64), [1, 1]],
        ['branch3x3dbl_2', c(96), [3, 3]],
        ['branch3x3dbl_3', c(96), [3, 3]],
      ],
    ],
    c(poolFeatures),
  );

/** 17x17: `Mixed_6b` to `Mixed_6e`. @param inner published channels between the 7-long kernels */
export const inceptionC = (inChannels: number, inner: number, c: Channels): AveragedBlock =>
  new AveragedBlock(
    inChannels,
    [
      [['branch1x1', c(192), [1, 1]]],
      [
        ['branch7x7_1', c(inner), [1, 1]],
        ['branch7x7_2', c(inner), [1, 7]],
        ['branch7x7_3', c(192), [7, 1]],
      ],
      [
        ['branch7x7dbl_1', c(inner), [1, 1]],
        ['branch7x7dbl_2', c(inner), [7, 1]],
        ['branch7x7dbl_3', c(inner), [1, 7]],
        ['branch7x7dbl_4', c(inner), [7, 1]],
        ['branch7x7dbl_5', c(192), [1, 7]],
      ],
    ],
    c(192),
  );

/** Halves height and width: chains whose last unit has stride 2, and a maximum. */
class ReducingBlock extends InceptionBlock {
  readonly outChannels: number;
  private readonly branches: ConvUnit2d[][];

  constructor(inChannels: number, branches: readonly (readonly Unit[])[]) {
    super();
    this.branches = branches.map(units => this.chain(inChannels, units, true));
    this.outChannels = this.branches.reduce((sum, units) => sum + units.at(-1)!.outChannels, inChannels);
  }

  /** x [N, H, W, in] -> [N, ⌊(H-1)/2⌋, ⌊(W-1)/2⌋, out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => tf.concat([...this.branches.map(units => this.run(units, x)), reducePool(x)], 3));
  }
}

/** 35x35 to 17x17: `Mixed_6a`. */
export const inceptionB = (inChannels: number, c: Channels): ReducingBlock =>
  new ReducingBlock(inChannels, [
    [['branch3x3', c(384), [3, 3]]],
    [
      ['branch3x3dbl_1', c(64), [1, 1]],
      ['branch3x3dbl_2', c(96), [3, 3]],
      ['branch3x3dbl_3', c(96), [3, 3]],
    ],
  ]);

/** 17x17 to 8x8: `Mixed_7a`. */
export const inceptionD = (inChannels: number, c: Channels): ReducingBlock =>
  new ReducingBlock(inChannels, [
    [
      ['branch3x3_1', c(192), [1, 1]],
      ['branch3x3_2', c(320), [3, 3]],
    ],
    [
      ['branch7x7x3_1', c(192), [1, 1]],
      ['branch7x7x3_2', c(192), [1, 7]],
      ['branch7x7x3_3', c(192), [7, 1]],
      ['branch7x7x3_4', c(192), [3, 3]],
    ],
  ]);

/** Channels of `InceptionE`'s outputs. */
export interface OuterChannels {
  branch1x1: number;
  /** Of each of the four halves. */
  half: number;
  pool: number;
}

/** 8x8, where two chains end in a flat and an upright kernel side by side: `Mixed_7b`, `Mixed_7c`. */
export class InceptionE extends InceptionBlock {
  readonly outChannels: number;
  private readonly branch1x1;
  private readonly branch3x3;
  private readonly branch3x3dbl;
  private readonly halves;
  private readonly halvesDbl;
  private readonly branchPool;

  constructor(
    inChannels: number,
    outer: OuterChannels,
    private readonly pool: 'average' | 'max',
    c: Channels,
  ) {
    super();
    const { half } = outer;
    const halves = (name: string, width: number) =>
      [
        this.child(`${name}a`, new ConvUnit2d(width, half, [1, 3])),
        this.child(`${name}b`, new ConvUnit2d(width, half, [3, 1])),
      ] as const;
    this.branch1x1 = this.chain(inChannels, [['branch1x1', outer.branch1x1, [1, 1]]]);
    this.branch3x3 = this.chain(inChannels, [['branch3x3_1', c(384), [1, 1]]]);
    this.halves = halves('branch3x3_2', c(384));
    this.branch3x3dbl = this.chain(inChannels, [
      ['branch3x3dbl_1', c(448), [1, 1]],
      ['branch3x3dbl_2', c(384), [3, 3]],
    ]);
    this.halvesDbl = halves('branch3x3dbl_3', c(384));
    this.branchPool = this.chain(inChannels, [['branch_pool', outer.pool, [1, 1]]]);
    this.outChannels = outer.branch1x1 + 4 * half + outer.pool;
  }

  /** x [N, H, W, in] -> [N, H, W, out] */
  override forward(x: Tensor): Tensor {
    return tf.tidy(() => {
      const [a, b] = [this.run(this.branch3x3, x), this.run(this.branch3x3dbl, x)];
      const pooled = this.pool === 'max' ? maxPool(x) : averagePool(x);
      return tf.concat(
        [
          this.run(this.branch1x1, x),
          ...this.halves.map(unit => unit.forward(a)),
          ...this.halvesDbl.map(unit => unit.forward(b)),
          this.run(this.branchPool, pooled),
        ],
        3,
      );
    });
  }
}

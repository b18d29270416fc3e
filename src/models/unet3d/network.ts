/**
 * The network of all UNets, by config: Show-1's video class (pixel and latent), diffusers' own, and the image class they
 * come from. The order of operations is that of Show-1's `showone/models/unet_3d_condition.py` and of diffusers 0.19.3;
 * what a video's frames share (text, time) is computed once a video.
 */
import { timestepEmbedding } from '../../diffusion/timestep-embedding.js';
import { checkpoint, type Tensor, tf } from '../../engine/index.js';
import { activate } from '../layers/activation.js';
import type { Block } from '../layers/block.js';
import { Conv2d } from '../layers/conv2d.js';
import { foldFrames, unfoldFrames } from '../layers/frames.js';
import { GroupNorm } from '../layers/group-norm.js';
import { Linear } from '../layers/linear.js';
import { Model } from '../layers/model.js';
import { TransformerTemporalModel } from '../layers/temporal-transformer.js';
import { TextTimeEmbedding } from '../layers/text-time-embedding.js';
import { TimestepEmbedding } from '../layers/timestep-embedding.js';
import type { JsonObject } from '../weights/pretrained.js';
import type { DownBlock, MidBlock, UpBlock } from './blocks.js';
import { downBlocks, midBlock, upBlocks } from './build.js';
import { checkInputs } from './check-inputs.js';
import { classEmbedding } from './class-embedding.js';
import { type UNet3DConfig, unet3dConfigJson } from './config.js';
import type { PartRunner, VideoContext } from './level.js';

export interface UNetConditions {
  /** Noise level of a super-resolution stage's condition [B], or what `class_embed_type` says. */
  classLabels?: Tensor | null;
  /** [B, time_cond_proj_dim], added to the timestep's sinusoid. */
  timestepCond?: Tensor | null;
}

const plainly: PartRunner = (_, fn, inputs) => tf.tidy(() => fn(...inputs));

/** Heads of the entry transformer, hard-coded upstream; its head size is, too, in Show-1's class. */
const ENTRY_HEADS = 8;
const ENTRY_HEAD_DIM = 64;

export abstract class UNetModel extends Model {
  readonly config: UNet3DConfig;
  protected override readonly weightStem = 'diffusion_pytorch_model';
  /** Runs the parts of the network one after another; replaced, it may wrap them. See `PartRunner`. */
  runPart: PartRunner = plainly;

  private readonly convIn: Conv2d;
  private readonly transformerIn: TransformerTemporalModel | null;
  private readonly timeEmbedding: TimestepEmbedding;
  private readonly encoderHidProj: Linear | null;
  private readonly classEmbedding: Block | null;
  private readonly addEmbedding: TextTimeEmbedding | null;
  private readonly downBlocks: DownBlock[];
  private readonly upBlocks: UpBlock[];
  private readonly midBlock: MidBlock | null;
  private readonly convNormOut: GroupNorm;
  private readonly convOut: Conv2d;

  protected constructor(config: UNet3DConfig) {
    super();
    this.config = config;
    const first = config.blockOutChannels[0]!;
    const timeDim = config.timeEmbeddingDim ?? 4 * first;
    this.convIn = this.child('conv_in', new Conv2d(config.inChannels, first, config.convInKernel));
    this.transformerIn = config.transformerIn ? this.child('transformer_in', entryTransformer(config)) : null;
    this.timeEmbedding = this.child(
      'time_embedding',
      new TimestepEmbedding({
        inChannels: first,
        timeEmbedDim: timeDim,
        act: config.actFn,
        postAct: config.timestepPostAct,
        condProjDim: config.timeCondProjDim,
      }),
    );
    const crossDim = config.crossAttentionDim as number; // a list only without the two modules that read it here
    this.encoderHidProj = config.encoderHidDimType
      ? this.child('encoder_hid_proj', new Linear(config.encoderHidDim!, crossDim))
      : null;
    const labels = classEmbedding(config, first, timeDim);
    this.classEmbedding = labels && this.child('class_embedding', labels);
    this.addEmbedding = config.additionEmbedType
      ? this.child(
          'add_embedding',
          new TextTimeEmbedding(config.encoderHidDim ?? crossDim, timeDim, config.additionEmbedTypeNumHeads),
        )
      : null;
    const tembDim = config.classEmbeddingsConcat ? 2 * timeDim : timeDim;
    this.downBlocks = this.list('down_blocks', downBlocks(config, tembDim));
    this.upBlocks = this.list('up_blocks', upBlocks(config, tembDim));
    const mid = midBlock(config, tembDim);
    this.midBlock = mid && this.child('mid_block', mid);
    this.convNormOut = this.child('conv_norm_out', new GroupNorm(config.normNumGroups, first, config.normEps));
    this.convOut = this.child('conv_out', new Conv2d(first, config.outChannels, config.convOutKernel));
  }

  override configJson(): JsonObject {
    return unet3dConfigJson(this.config);
  }

  /**
   * Predicts noise (or what the model was trained for).
   * @param sample noisy video [B, F, H, W, inChannels], in an image model images [N, H, W, inChannels] too; channels that
   *   a stage adds (condition, mask) included
   * @param timestep [B], int32 or float32, or one number for all
   * @param encoderHiddenStates text tokens [B, L, encoderHidDim or crossAttentionDim]
   * @returns [B, F, H, W, outChannels], or [N, H, W, outChannels]
   * @throws InputError for shapes that do not fit, naming the input and what the config asks for
   */
  override forward(
    sample: Tensor,
    timestep: Tensor | number,
    encoderHiddenStates: Tensor,
    conditions: UNetConditions = {},
  ): Tensor {
    checkInputs(this.config, sample, encoderHiddenStates, conditions);
    return tf.tidy(() => {
      const single = sample.rank === 4; // an image is a video of one frame
      const frames = single ? 1 : sample.shape[1]!;
      const temb = this.timeAndLabels(sample.shape[0]!, timestep, encoderHiddenStates, conditions);
      const text = this.encoderHidProj?.forward(encoderHiddenStates) ?? encoderHiddenStates; // [B, L, crossDim]
      const centred = this.config.centerInputSample ? sample.mul(2).sub(1) : sample;
      let x = this.convIn.forward(single ? centred : foldFrames(centred)); // [B·F, H, W, C]
      const { transformerIn, midBlock, runPart: run } = this;
      if (transformerIn) x = run(transformerIn, h => [transformerIn.forward(h!, frames)], [x])[0]!;
      const context: VideoContext = { frames, temb, text, run };
      const skips = [x];
      for (const block of this.downBlocks) {
        skips.push(...block.forward(x, context));
        x = skips.at(-1)!;
      }
      if (midBlock) x = midBlock.forward(x, context);
      for (const block of this.upBlocks) {
        const own = skips.splice(-block.skips).reverse(); // the deepest first
        const next = skips.at(-1);
        const size = next ? ([next.shape[1], next.shape[2]] as [number, number]) : null;
        x = block.forward(x, context, own, size);
      }
      // diffusers' class has SiLU here whatever act_fn says.
      const act = this.config.family === 'diffusers' ? 'silu' : this.config.actFn;
      const out = this.convOut.forward(this.convNormOut.forward(x, act));
      return single ? out : unfoldFrames(out, frames);
    });
  }

  /** Names of the blocks that `enableGradientCheckpointing` takes, in the order in which they run. */
  get checkpointableBlocks(): string[] {
    const blocks = [this.transformerIn, ...this.downBlocks, this.midBlock, ...this.upBlocks];
    return blocks.flatMap(block => (block ? [block.path] : []));
  }

  /**
   * Trains with less memory: what the layers of these blocks compute is not kept for the backward pass but computed again
   * there. Gradients stay the same bit for bit.
   * @param blocks see `checkpointableBlocks`; default all
   */
  enableGradientCheckpointing(blocks: readonly string[] = this.checkpointableBlocks): void {
    const chosen = new Set(blocks);
    this.runPart = (block, fn, inputs) =>
      chosen.has(block.path) ? checkpoint(fn, inputs) : plainly(block, fn, inputs);
  }

  disableGradientCheckpointing(): void {
    this.runPart = plainly;
  }

  /** The embedding of timestep, class labels and text as a whole: [B, D]. */
  private timeAndLabels(
    B: number,
    timestep: Tensor | number,
    text: Tensor,
    { classLabels, timestepCond }: UNetConditions,
  ): Tensor {
    const { config } = this;
    const sinusoid = (t: Tensor) =>
      timestepEmbedding(t, config.blockOutChannels[0]!, {
        flipSinToCos: config.flipSinToCos,
        downscaleFreqShift: config.freqShift,
      });
    const steps = typeof timestep === 'number' ? tf.fill([B], timestep) : forBatch(timestep, B);
    let emb = this.timeEmbedding.forward(sinusoid(steps), timestepCond);
    if (classLabels) {
      const labels = config.classEmbedType === 'timestep' ? sinusoid(forBatch(classLabels, B)) : classLabels;
      const added: Tensor = this.classEmbedding ? this.classEmbedding.forward(labels) : labels;
      emb = config.classEmbeddingsConcat ? tf.concat([emb, added], -1) : emb.add(added);
    }
    if (this.addEmbedding) emb = emb.add(this.addEmbedding.forward(text)); // of the text before its projection
    return config.timeEmbeddingActFn ? activate(config.timeEmbeddingActFn, emb) : emb;
  }

  override computeOutputShape(inputShapes: any): (number | null)[] {
    const [sample] = inputShapes as (number | null)[][];
    return [...sample!.slice(0, -1), this.config.outChannels];
  }
}

function entryTransformer(config: UNet3DConfig): TransformerTemporalModel {
  const headDim = config.family === 'show1' ? ENTRY_HEAD_DIM : (config.attentionHeadDim as number);
  const { temporalNormGroups: normGroups } = config;
  return new TransformerTemporalModel({
    channels: config.blockOutChannels[0]!,
    heads: ENTRY_HEADS,
    headDim,
    normGroups,
  });
}

/** [], [1] or [B] -> [B] */
function forBatch(values: Tensor, B: number): Tensor {
  return values.size === 1 && B > 1 ? tf.tile(values.reshape([1]), [B]) : values.reshape([values.size]);
}

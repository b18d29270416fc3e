import { gatherRows, type Tensor } from '../../engine/index.js';
import { Block } from '../layers/block.js';
import { normal } from '../layers/initializers.js';
import { Linear } from '../layers/linear.js';
import type { Parameter } from '../layers/parameter.js';
import { TimestepEmbedding } from '../layers/timestep-embedding.js';
import type { UNet3DConfig } from './config.js';

/** A learned vector for each class (`nn.Embedding`). Parameter `weight`. */
class ClassTable extends Block {
  private readonly weight: Parameter;

  constructor(classes: number, dim: number) {
    super();
    this.weight = this.param('weight', [classes, dim], { init: normal(1) });
  }

  /** labels [B] -> [B, dim] */
  override forward(labels: Tensor): Tensor {
    return gatherRows(this.weight.value(), labels.toInt());
  }
}

/**
 * What turns class labels into an addition to the time embedding, or null where that takes no weights. `timestep` labels
 * are [B] (the noise level of super-resolution's condition), `projection` ones [B, D], `identity` ones [B, dim].
 */
export function classEmbedding(config: UNet3DConfig, timestepDim: number, dim: number): Block | null {
  const width = config.projectionClassEmbeddingsInputDim;
  switch (config.classEmbedType) {
    case 'timestep':
      return new TimestepEmbedding({ inChannels: timestepDim, timeEmbedDim: dim, act: config.actFn });
    case 'projection':
      return new TimestepEmbedding({ inChannels: width!, timeEmbedDim: dim });
    case 'simple_projection':
      return new Linear(width!, dim);
    case 'identity':
      return null;
    case null:
      return config.numClassEmbeds === null ? null : new ClassTable(config.numClassEmbeds, dim);
  }
}

/** The model takes class labels. */
export function takesClassLabels(config: UNet3DConfig): boolean {
  return config.classEmbedType !== null || config.numClassEmbeds !== null;
}

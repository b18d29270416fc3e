/** CLIP's text encoder (Radford et al. 2021), as latent text-to-video models use it, loading transformers' weights. */
import type { Tensor } from '../../engine/index.js';
import { Model } from '../layers/model.js';
import type { JsonObject } from '../weights/pretrained.js';
import { type ClipTextConfig, clipSection, parseClipTextConfig } from './clip-config.js';
import { type ClipTextOutput, ClipTextTransformer } from './clip-transformer.js';

export class CLIPTextModel extends Model {
  protected readonly weightStem = 'model';
  readonly config: ClipTextConfig;
  private readonly json: JsonObject;
  private readonly transformer;

  /**
   * Its weights are frozen; `model.trainable = true` lets them train.
   * @param json transformers' `config.json` of a CLIPTextModel, or of a whole CLIPModel
   * @param options.source where it is from, for messages
   * @throws InputError naming the key that is wrong
   */
  constructor(json: JsonObject, { source = 'the CLIP text config' }: { source?: string } = {}) {
    super();
    const { _fixture, ...rest } = clipSection(json, 'text', source);
    this.json = rest;
    this.config = parseClipTextConfig(json, source);
    this.transformer = this.child('text_model', new ClipTextTransformer(this.config));
    this.trainable = false;
  }

  override configJson(): JsonObject {
    return { ...this.json, architectures: ['CLIPTextModel'], model_type: 'clip_text_model' };
  }

  /** Width of the output. */
  get width(): number {
    return this.config.hiddenSize;
  }

  /** Most tokens of a text. */
  get maxLength(): number {
    return this.config.maxPositionEmbeddings;
  }

  /**
   * @param inputIds [B, L] int32, at most `maxLength` tokens
   * @param attentionMask [B, L], 1 for tokens that may be attended, 0 for padding; left out: all may. Every token sees
   * those before it only.
   * @returns the states of every token, padding too, [B, L, D], and those at the end of each text, [B, D]: at the first
   * `eos_token_id` of the config, or, where that is 2 (files older than transformers 4.31), at the first largest id
   * @throws InputError when the shapes do not fit
   */
  override forward(inputIds: Tensor, attentionMask?: Tensor | null): ClipTextOutput {
    return this.transformer.forward(inputIds, attentionMask);
  }

  /** TF.js's entry: the two outputs in order. */
  override call(inputs: Tensor | Tensor[]): Tensor[] {
    const [inputIds, attentionMask] = Array.isArray(inputs) ? inputs : [inputs];
    const { lastHiddenState, pooled } = this.forward(inputIds!, attentionMask);
    return [lastHiddenState, pooled];
  }

  /**
   * The embeddings and every layer's output, before the final norm: layers + 1 tensors [B, L, D] (transformers'
   * `hidden_states`; the last but one is what some models condition on).
   * @throws InputError when the shapes do not fit
   */
  hiddenStates(inputIds: Tensor, attentionMask?: Tensor | null): Tensor[] {
    return this.transformer.states(inputIds, attentionMask);
  }

  /** With the prefix `text_model.` or, as transformers 5 saves them, without; the rest of a whole CLIP is left aside. */
  protected override nameOf(tensor: string): string | null {
    return textName(tensor);
  }
}

/** A tensor's name in this model; null for what the model does without. */
function textName(name: string): string | null {
  if (/^(vision_model\.|(visual|text)_projection\.|logit_scale$)/.test(name)) return null;
  if (isPositionIds(name)) return null;
  return /^(embeddings|encoder|final_layer_norm)\./.test(name) ? `text_model.${name}` : name;
}

/** Old files hold the numbers 0, 1, 2, … as a buffer. */
export const isPositionIds = (name: string): boolean => name.endsWith('embeddings.position_ids');

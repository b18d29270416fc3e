/** The stages at the size that Show-1 was released with: what one denoising step works on. */
import { join } from 'node:path';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { AutoencoderKL } from '../../src/models/vae/index.js';
import type { JsonObject } from '../../src/models/weights/pretrained.js';
import { readManifest } from '../../src/verify/manifest.js';

export interface StageSize {
  frames: number;
  height: number;
  width: number;
  /** Channels of the sample; the network's others are a condition. */
  channels: number;
  /** Width of the text embeddings. */
  text: number;
  /** The network takes a noise level. */
  labels: boolean;
}

/** sr2 works on latents: 320 x 576 pixels are 40 x 72 of them. */
export const SIZES = {
  base: { frames: 8, height: 40, width: 64, channels: 3, text: 4096, labels: false },
  interp: { frames: 5, height: 40, width: 64, channels: 3, text: 4096, labels: false },
  sr1: { frames: 8, height: 160, width: 256, channels: 3, text: 4096, labels: true },
  sr2: { frames: 29, height: 40, width: 72, channels: 4, text: 1024, labels: false },
} as const satisfies Record<string, StageSize>;

export type UnetStage = keyof typeof SIZES;
export const VAE_STAGES = ['vae-encode', 'vae-decode'] as const;
export type VaeStage = (typeof VAE_STAGES)[number];
export type Stage = UnetStage | VaeStage;
export const STAGES = [...(Object.keys(SIZES) as UnetStage[]), ...VAE_STAGES] as readonly Stage[];

/** Tokens of a prompt. */
export const TOKENS = 77;
/** Frames that the autoencoder is given: it works on one after the other, so that three show the peak of 29. */
export const VAE_FRAMES = 3;
export const FRAME = { height: 320, width: 576 } as const;

/** Stable Diffusion's autoencoder, which sr2 uses. */
const VAE: JsonObject = {
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill('DownEncoderBlock2D'),
  up_block_types: Array(4).fill('UpDecoderBlock2D'),
  layers_per_block: 2,
  latent_channels: 4,
  scaling_factor: 0.18215,
};

/** The stage's network, without memory. @param manifests folder of `base.json.gz`, … */
export function buildUnet(stage: UnetStage, manifests: string): UNet3DConditionModel {
  return new UNet3DConditionModel(readManifest(join(manifests, `${stage}.json.gz`)).config);
}

export const buildVae = (): AutoencoderKL => new AutoencoderKL(VAE);

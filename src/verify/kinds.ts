/** Which check runs for which kind of fixture; a check's module is loaded when the first fixture needs it. */
import type { FixtureCheck } from './types.js';

interface Kind {
  /** The fixture must hold `weights.safetensors`. */
  weights: boolean;
  load(): Promise<FixtureCheck>;
}

export const KINDS: Readonly<Record<string, Kind>> = {
  ops: { weights: false, load: async () => (await import('./ops.js')).verifyOps },
  schedulers: { weights: false, load: async () => (await import('./schedulers.js')).verifySchedulers },
  piece: { weights: true, load: async () => (await import('./pieces.js')).verifyPiece },
  unet3d: { weights: true, load: async () => (await import('./unet.js')).verifyUnet },
  inflate: { weights: true, load: async () => (await import('./inflate.js')).verifyInflate },
  clip_text: { weights: true, load: async () => (await import('./clip.js')).verifyClipText },
  clip: { weights: true, load: async () => (await import('./clip.js')).verifyClip },
  autoencoder_kl: { weights: true, load: async () => (await import('./vae.js')).verifyAutoencoder },
  t5_encoder: { weights: true, load: async () => (await import('./text.js')).verifyT5Encoder },
  trajectory: { weights: false, load: async () => (await import('./trajectory.js')).verifyTrajectory },
};

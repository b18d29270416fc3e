/** What `latents-index.json` says about clips. */
import type { ClipFile } from './clip-files.js';

export interface StoredClip {
  /** Frames in its tensor [F, h, w, 2·latent]. */
  frames: number;
  /** Of the source, as the container or the manifest states them. */
  seconds: number;
  fps: number;
}

export interface LatentsIndex {
  /** By tensor. */
  clips: Record<string, StoredClip>;
  /** By place; with the tensor's name, or what is wrong with the clip. */
  files: Record<string, ClipFile & { name: string; problem?: { code: string; message: string } }>;
  /** [h, w, 2·latent] */
  shape: [number, number, number];
}

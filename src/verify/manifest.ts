/** Full-size models against manifests: a config, and the name and shape of every tensor of the model built from it. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { InputError } from '../errors.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import type { JsonObject } from '../models/weights/pretrained.js';

export interface Manifest {
  /** A diffusers config. */
  config: JsonObject;
  /** Number of scalars. */
  parameters: number;
  /** PyTorch shape by name. */
  tensors: Record<string, number[]>;
}

export interface ManifestResult {
  ok: boolean;
  parameters: { model: number; manifest: number };
  /** Names of the manifest that the model lacks. */
  missing: string[];
  /** Names that only the model has. */
  unexpected: string[];
  mismatched: { name: string; model: number[]; manifest: number[] }[];
}

/** Reads `*.json` or `*.json.gz`. @throws InputError when it is not a manifest */
export function readManifest(file: string): Manifest {
  let manifest: Manifest;
  try {
    const bytes = readFileSync(file);
    manifest = JSON.parse((file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')) as Manifest;
  } catch (cause) {
    throw new InputError(
      `Cannot read the manifest ${file}: ${(cause as Error).message}`,
      { code: 'verify.manifest', file },
      cause,
    );
  }
  if (!manifest?.config || !manifest.tensors || typeof manifest.parameters !== 'number') {
    throw new InputError(`${file} is no manifest: it must hold "config", "parameters" and "tensors".`, {
      code: 'verify.manifest',
      file,
    });
  }
  return manifest;
}

/** Builds the model (names and shapes only, no memory) and compares it name by name. */
export function verifyManifest({ config, parameters, tensors }: Manifest): ManifestResult {
  const model = new UNet3DConditionModel(config);
  const shapes = new Map([...model.parameters()].map(([name, p]) => [name, p.torchShape]));
  const mismatched = Object.entries(tensors).flatMap(([name, manifest]) => {
    const shape = shapes.get(name);
    return shape && shape.join() !== manifest.join() ? [{ name, model: shape, manifest }] : [];
  });
  const result = {
    parameters: { model: model.countParams(), manifest: parameters },
    missing: Object.keys(tensors).filter(name => !shapes.has(name)),
    unexpected: [...shapes.keys()].filter(name => !(name in tensors)),
    mismatched,
  };
  const ok = !result.missing.length && !result.unexpected.length && !mismatched.length;
  return { ok: ok && result.parameters.model === parameters, ...result };
}

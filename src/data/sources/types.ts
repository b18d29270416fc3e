import type { Manifest, ManifestEntry, Skip } from '../manifest.js';

/** An entry whose caption may be empty and whose file was not looked at yet. */
export type Candidate = ManifestEntry;

/** What a reader of one layout found. */
export interface SourceContents {
  kind: Manifest['kind'];
  candidates: Candidate[];
  /** What was passed over already. */
  skips: Skip[];
  notes: string[];
}

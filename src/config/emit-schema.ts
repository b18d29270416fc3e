/** `npm run schema`: writes the files generated from the config schema. */
import { writeFileSync } from 'node:fs';
import { editorSchema, REFERENCE_FILE, reference, SCHEMA_FILE } from './json-schema.js';

const root = new URL('../../', import.meta.url);
writeFileSync(new URL(SCHEMA_FILE, root), editorSchema());
writeFileSync(new URL(REFERENCE_FILE, root), reference());
process.stderr.write(`wrote ${SCHEMA_FILE} and ${REFERENCE_FILE}\n`);

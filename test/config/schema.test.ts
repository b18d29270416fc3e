import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { editorSchema, REFERENCE_FILE, reference, SCHEMA_FILE } from '../../src/config/json-schema.js';
import { dotted, fields } from '../../src/config/paths.js';
import { MINIMAL } from './helpers.js';

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

describe('generated files', () => {
  it('are up to date (npm run schema)', () => {
    expect(read(SCHEMA_FILE)).toBe(editorSchema());
    expect(read(REFERENCE_FILE)).toBe(reference());
  });
});

describe('every field', () => {
  it.each(fields().map(field => [dotted(field.path), field] as const))(
    '%s is described and its default is valid',
    (_, { schema }) => {
      expect(schema.description).toMatch(/\S.*[.]$/);
      if (schema.default !== undefined && !schema.properties) {
        expect(new Ajv({ strict: false }).validate(schema, schema.default)).toBe(true);
      }
    },
  );
});

describe('the editors’ schema', () => {
  const valid = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(editorSchema()));
  it('accepts partial files, extends and null', () => {
    expect(valid(parse(MINIMAL))).toBe(true);
    expect(valid({ extends: 'base.yaml', train: { steps: null, schedule: null }, validate: null })).toBe(true);
  });
  it('refuses unknown keys and wrong values', () => {
    expect(valid({ trian: {} })).toBe(false);
    expect(valid({ train: { steps: 0 } })).toBe(false);
    expect(valid({ precision: 'fp16' })).toBe(false);
  });
});

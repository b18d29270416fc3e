/**
 * SentencePiece's model file: a protocol buffer (google/sentencepiece, src/sentencepiece_model.proto; field numbers and
 * defaults as there, fields that are not used left out).
 */
import protobuf from 'protobufjs';
import { InputError } from '../../errors.js';

const DEFINITION = `
syntax = "proto2";
package sentencepiece;

message TrainerSpec {
  optional int32 model_type = 3 [default = 1];
  optional bool treat_whitespace_as_suffix = 24 [default = false];
  optional bool byte_fallback = 35 [default = false];
}
message NormalizerSpec {
  optional string name = 1;
  optional bytes precompiled_charsmap = 2;
  optional bool add_dummy_prefix = 3 [default = true];
  optional bool remove_extra_whitespaces = 4 [default = true];
  optional bool escape_whitespaces = 5 [default = true];
}
message ModelProto {
  message SentencePiece {
    optional string piece = 1;
    optional float score = 2;
    optional int32 type = 3 [default = 1];
  }
  repeated SentencePiece pieces = 1;
  optional TrainerSpec trainer_spec = 2;
  optional NormalizerSpec normalizer_spec = 3;
}
`;

/** `ModelProto.SentencePiece.Type`. */
export const PIECE_TYPE = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 } as const;

/** `TrainerSpec.ModelType`. */
const MODEL_TYPES: Record<number, string> = { 1: 'Unigram', 2: 'BPE', 3: 'word', 4: 'character' };

export interface SentencePieceEntry {
  piece: string;
  /** Log probability. */
  score: number;
  type: number;
}

export interface NormalizerSpec {
  precompiledCharsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
}

export interface SentencePieceModel {
  /** The id is the place. */
  pieces: SentencePieceEntry[];
  unknownId: number;
  normalizer: NormalizerSpec;
  whitespaceAsSuffix: boolean;
  byteFallback: boolean;
}

interface ModelProto {
  pieces: SentencePieceEntry[];
  trainerSpec?: { modelType: number; treatWhitespaceAsSuffix: boolean; byteFallback: boolean };
  normalizerSpec?: NormalizerSpec;
}

const root = protobuf.parse(DEFINITION).root;
const Model = root.lookupType('sentencepiece.ModelProto');
const Trainer = root.lookupType('sentencepiece.TrainerSpec');
const Normalizer = root.lookupType('sentencepiece.NormalizerSpec');

/**
 * @param where the file, for messages
 * @throws InputError when the bytes are no such model, or one of another algorithm than Unigram
 */
export function parseSentencePieceModel(bytes: Uint8Array, where: string): SentencePieceModel {
  const broken = (why: string, cause?: unknown) =>
    new InputError(
      `${where} is not a SentencePiece model: ${why}. Download the tokenizer folder again.`,
      { code: 'tokenizer.sentencepiece', where },
      cause,
    );
  let proto: ModelProto;
  try {
    proto = Model.decode(bytes) as unknown as ModelProto;
  } catch (cause) {
    throw broken(`its protocol buffer does not parse (${(cause as Error).message})`, cause);
  }
  if (proto.pieces.length === 0) throw broken('it holds no pieces');
  const trainer = proto.trainerSpec ?? (Trainer.create() as unknown as NonNullable<ModelProto['trainerSpec']>);
  if (trainer.modelType !== 1) {
    const type = MODEL_TYPES[trainer.modelType] ?? `type ${trainer.modelType}`;
    throw new InputError(
      `${where} is a ${type} model; of SentencePiece's algorithms only Unigram, T5's, is supported. ` +
        'Convert the tokenizer to tokenizer.json with transformers (AutoTokenizer) and use that.',
      { code: 'tokenizer.sentencepiece-type', where, type },
    );
  }
  const unknownId = proto.pieces.findIndex(({ type }) => type === PIECE_TYPE.UNKNOWN);
  if (unknownId < 0) throw broken('it has no unknown token');
  const { byteFallback, treatWhitespaceAsSuffix: whitespaceAsSuffix } = trainer;
  const normalizer = proto.normalizerSpec ?? (Normalizer.create() as unknown as NormalizerSpec);
  return { pieces: proto.pieces, unknownId, normalizer, whitespaceAsSuffix, byteFallback };
}

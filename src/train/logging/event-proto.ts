/**
 * The part of TensorFlow's event protocol buffers that is written here (tensorflow/core/util/event.proto,
 * tensorflow/core/framework/{summary,histogram,tensor}.proto), field numbers as there.
 */
import protobuf from 'protobufjs';

const DEFINITION = `
syntax = "proto3";
package tensorflow;

message Event {
  double wall_time = 1;
  int64 step = 2;
  oneof what {
    string file_version = 3;
    Summary summary = 5;
    SessionLog session_log = 7;
  }
}
message SessionLog {
  int32 status = 1;
}
message Summary {
  repeated Value value = 1;
  message Value {
    string tag = 1;
    SummaryMetadata metadata = 9;
    oneof value {
      float simple_value = 2;
      Image image = 4;
      HistogramProto histo = 5;
      TensorProto tensor = 8;
    }
  }
  message Image {
    int32 height = 1;
    int32 width = 2;
    int32 colorspace = 3;
    bytes encoded_image_string = 4;
  }
}
message SummaryMetadata {
  PluginData plugin_data = 1;
  string display_name = 2;
  string summary_description = 3;
  message PluginData {
    string plugin_name = 1;
    bytes content = 2;
  }
}
message HistogramProto {
  double min = 1;
  double max = 2;
  double num = 3;
  double sum = 4;
  double sum_squares = 5;
  repeated double bucket_limit = 6 [packed = true];
  repeated double bucket = 7 [packed = true];
}
message TensorProto {
  int32 dtype = 1;
  TensorShapeProto tensor_shape = 2;
  repeated bytes string_val = 8;
}
message TensorShapeProto {
  repeated Dim dim = 2;
  message Dim {
    int64 size = 1;
  }
}
`;

/** `SessionLog.SessionStatus.START`. */
export const SESSION_START = 1;
/** `DataType.DT_STRING`. */
export const DT_STRING = 7;

export interface HistogramValue {
  min: number;
  max: number;
  num: number;
  sum: number;
  sumSquares: number;
  /** Upper edge of each bucket, rising; a bucket holds values from the edge before it up to below its own. */
  bucketLimit: number[];
  bucket: number[];
}

export interface SummaryValue {
  tag: string;
  metadata?: { pluginData: { pluginName: string } };
  simpleValue?: number;
  image?: { height: number; width: number; colorspace: number; encodedImageString: Uint8Array };
  histo?: HistogramValue;
  tensor?: { dtype: number; tensorShape: { dim: { size: number }[] }; stringVal: Uint8Array[] };
}

export interface EventMessage {
  /** Seconds since 1970. */
  wallTime: number;
  step?: number;
  fileVersion?: string;
  summary?: { value: SummaryValue[] };
  sessionLog?: { status: number };
}

const Event = protobuf.parse(DEFINITION).root.lookupType('tensorflow.Event');

/** The bytes of one event. */
export function encodeEvent(event: EventMessage): Uint8Array {
  return Event.encode(Event.create(event)).finish();
}

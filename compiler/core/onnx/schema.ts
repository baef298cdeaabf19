/**
 * The ONNX file format as a protobufjs schema: message and field names with their numbers, from the format's specification (onnx.proto3, IR version 13).
 * `test/conformance/onnx/schema.test.ts` holds it against the descriptor in the Python package `onnx`.
 */
import protobuf from "protobufjs";

type Field = readonly [number: number, type: string, repeated?: "repeated"];

const messages: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  AttributeProto: {
    name: [1, "string"],
    ref_attr_name: [21, "string"],
    doc_string: [13, "string"],
    type: [20, "int32"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    t: [5, "TensorProto"],
    g: [6, "GraphProto"],
    sparse_tensor: [22, "SparseTensorProto"],
    tp: [14, "TypeProto"],
    floats: [7, "float", "repeated"],
    ints: [8, "int64", "repeated"],
    strings: [9, "bytes", "repeated"],
    tensors: [10, "TensorProto", "repeated"],
    graphs: [11, "GraphProto", "repeated"],
    sparse_tensors: [23, "SparseTensorProto", "repeated"],
    type_protos: [15, "TypeProto", "repeated"],
  },
  ValueInfoProto: {
    name: [1, "string"],
    type: [2, "TypeProto"],
    doc_string: [3, "string"],
    metadata_props: [4, "StringStringEntryProto", "repeated"],
  },
  NodeProto: {
    input: [1, "string", "repeated"],
    output: [2, "string", "repeated"],
    name: [3, "string"],
    op_type: [4, "string"],
    domain: [7, "string"],
    overload: [8, "string"],
    attribute: [5, "AttributeProto", "repeated"],
    doc_string: [6, "string"],
    metadata_props: [9, "StringStringEntryProto", "repeated"],
    device_configurations: [10, "NodeDeviceConfigurationProto", "repeated"],
  },
  IntIntListEntryProto: { key: [1, "int64"], value: [2, "int64", "repeated"] },
  NodeDeviceConfigurationProto: {
    configuration_id: [1, "string"],
    sharding_spec: [2, "ShardingSpecProto", "repeated"],
    pipeline_stage: [3, "int32"],
  },
  ShardingSpecProto: {
    tensor_name: [1, "string"],
    device: [2, "int64", "repeated"],
    index_to_device_group_map: [3, "IntIntListEntryProto", "repeated"],
    sharded_dim: [4, "ShardedDimProto", "repeated"],
  },
  ShardedDimProto: { axis: [1, "int64"], simple_sharding: [2, "SimpleShardedDimProto", "repeated"] },
  SimpleShardedDimProto: { dim_value: [1, "int64"], dim_param: [2, "string"], num_shards: [3, "int64"] },
  TrainingInfoProto: {
    initialization: [1, "GraphProto"],
    algorithm: [2, "GraphProto"],
    initialization_binding: [3, "StringStringEntryProto", "repeated"],
    update_binding: [4, "StringStringEntryProto", "repeated"],
  },
  ModelProto: {
    ir_version: [1, "int64"],
    opset_import: [8, "OperatorSetIdProto", "repeated"],
    producer_name: [2, "string"],
    producer_version: [3, "string"],
    domain: [4, "string"],
    model_version: [5, "int64"],
    doc_string: [6, "string"],
    graph: [7, "GraphProto"],
    metadata_props: [14, "StringStringEntryProto", "repeated"],
    training_info: [20, "TrainingInfoProto", "repeated"],
    functions: [25, "FunctionProto", "repeated"],
    configuration: [26, "DeviceConfigurationProto", "repeated"],
  },
  DeviceConfigurationProto: { name: [1, "string"], num_devices: [2, "int32"], device: [3, "string", "repeated"] },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  TensorAnnotation: { tensor_name: [1, "string"], quant_parameter_tensor_names: [2, "StringStringEntryProto", "repeated"] },
  GraphProto: {
    node: [1, "NodeProto", "repeated"],
    name: [2, "string"],
    initializer: [5, "TensorProto", "repeated"],
    sparse_initializer: [15, "SparseTensorProto", "repeated"],
    doc_string: [10, "string"],
    input: [11, "ValueInfoProto", "repeated"],
    output: [12, "ValueInfoProto", "repeated"],
    value_info: [13, "ValueInfoProto", "repeated"],
    quantization_annotation: [14, "TensorAnnotation", "repeated"],
    metadata_props: [16, "StringStringEntryProto", "repeated"],
  },
  TensorProto: {
    dims: [1, "int64", "repeated"],
    data_type: [2, "int32"],
    segment: [3, "Segment"],
    float_data: [4, "float", "repeated"],
    int32_data: [5, "int32", "repeated"],
    string_data: [6, "bytes", "repeated"],
    int64_data: [7, "int64", "repeated"],
    name: [8, "string"],
    doc_string: [12, "string"],
    raw_data: [9, "bytes"],
    external_data: [13, "StringStringEntryProto", "repeated"],
    data_location: [14, "int32"],
    double_data: [10, "double", "repeated"],
    uint64_data: [11, "uint64", "repeated"],
    metadata_props: [16, "StringStringEntryProto", "repeated"],
  },
  Segment: { begin: [1, "int64"], end: [2, "int64"] },
  SparseTensorProto: { values: [1, "TensorProto"], indices: [2, "TensorProto"], dims: [3, "int64", "repeated"] },
  TensorShapeProto: { dim: [1, "Dimension", "repeated"] },
  Dimension: { dim_value: [1, "int64"], dim_param: [2, "string"], denotation: [3, "string"] },
  TypeProto: {
    tensor_type: [1, "TensorTypeProto"],
    sequence_type: [4, "ElemTypeProto"],
    map_type: [5, "MapTypeProto"],
    opaque_type: [7, "OpaqueTypeProto"],
    optional_type: [9, "ElemTypeProto"],
    sparse_tensor_type: [8, "TensorTypeProto"],
    denotation: [6, "string"],
  },
  TensorTypeProto: { elem_type: [1, "int32"], shape: [2, "TensorShapeProto"] },
  ElemTypeProto: { elem_type: [1, "TypeProto"] },
  MapTypeProto: { key_type: [1, "int32"], value_type: [2, "TypeProto"] },
  OpaqueTypeProto: { domain: [1, "string"], name: [2, "string"] },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  FunctionProto: {
    name: [1, "string"],
    input: [4, "string", "repeated"],
    output: [5, "string", "repeated"],
    attribute: [6, "string", "repeated"],
    attribute_proto: [11, "AttributeProto", "repeated"],
    node: [7, "NodeProto", "repeated"],
    doc_string: [8, "string"],
    opset_import: [9, "OperatorSetIdProto", "repeated"],
    domain: [10, "string"],
    overload: [13, "string"],
    value_info: [12, "ValueInfoProto", "repeated"],
    metadata_props: [14, "StringStringEntryProto", "repeated"],
  },
};

/** Fields whose presence matters although their value may be the type's zero. */
const oneof: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = { Dimension: { value: ["dim_value", "dim_param"] } };

/** The schema's messages, for the test against ONNX's own descriptor. */
export const schemaMessages = messages;

const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(messages).map(([name, fields]) => [
      name,
      {
        fields: Object.fromEntries(
          Object.entries(fields).map(([field, [id, type, rule]]) => [
            field,
            { id, type, ...(rule === undefined ? {} : { rule, options: { packed: rule === "repeated" } }) },
          ]),
        ),
        ...(oneof[name] === undefined ? {} : { oneofs: Object.fromEntries(Object.entries(oneof[name]).map(([k, v]) => [k, { oneof: [...v] }])) }),
      },
    ]),
  ),
});

type Int = number | { toNumber(): number; toString(): string };

export interface StringEntry {
  key?: string;
  value?: string;
}
export interface TensorProto {
  dims?: Int[];
  data_type?: number;
  segment?: unknown;
  float_data?: number[];
  int32_data?: number[];
  string_data?: Uint8Array[];
  int64_data?: Int[];
  name?: string;
  doc_string?: string;
  raw_data?: Uint8Array;
  external_data?: StringEntry[];
  data_location?: number;
  double_data?: number[];
  uint64_data?: Int[];
}
export interface TypeProto {
  tensor_type?: { elem_type?: number; shape?: { dim?: { dim_value?: Int; dim_param?: string; denotation?: string }[] } | null } | null;
  sequence_type?: unknown;
  map_type?: unknown;
  opaque_type?: unknown;
  optional_type?: unknown;
  sparse_tensor_type?: unknown;
  denotation?: string;
}
export interface ValueInfoProto {
  name?: string;
  type?: TypeProto | null;
  doc_string?: string;
}
export interface AttributeProto {
  name?: string;
  ref_attr_name?: string;
  doc_string?: string;
  type?: number;
  f?: number;
  i?: Int;
  s?: Uint8Array;
  t?: TensorProto | null;
  g?: GraphProto | null;
  sparse_tensor?: unknown;
  tp?: TypeProto | null;
  floats?: number[];
  ints?: Int[];
  strings?: Uint8Array[];
  tensors?: TensorProto[];
  graphs?: GraphProto[];
}
export interface NodeProto {
  input?: string[];
  output?: string[];
  name?: string;
  op_type?: string;
  domain?: string;
  overload?: string;
  attribute?: AttributeProto[];
  doc_string?: string;
}
export interface GraphProto {
  node?: NodeProto[];
  name?: string;
  initializer?: TensorProto[];
  sparse_initializer?: unknown[];
  doc_string?: string;
  input?: ValueInfoProto[];
  output?: ValueInfoProto[];
  value_info?: ValueInfoProto[];
  metadata_props?: StringEntry[];
}
export interface FunctionProto {
  name?: string;
  domain?: string;
  overload?: string;
  opset_import?: { domain?: string; version?: Int }[];
  node?: NodeProto[];
  input?: string[];
  output?: string[];
}
export interface ModelProto {
  ir_version?: Int;
  opset_import?: { domain?: string; version?: Int }[];
  producer_name?: string;
  producer_version?: string;
  domain?: string;
  model_version?: Int;
  doc_string?: string;
  graph?: GraphProto | null;
  metadata_props?: StringEntry[];
  training_info?: unknown[];
  functions?: FunctionProto[];
}

interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): Uint8Array;
}

function codec<T>(name: string): Codec<T> {
  const type = root.lookupType(name);
  return {
    // Byte fields are views of the input: weights are not copied.
    decode: (bytes) => type.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as unknown as T,
    encode: (message) => type.encode(message as protobuf.Message).finish(),
  };
}

export const modelCodec = codec<ModelProto>("ModelProto");
export const graphCodec = codec<GraphProto>("GraphProto");
export const nodeCodec = codec<NodeProto>("NodeProto");
export const typeCodec = codec<TypeProto>("TypeProto");
export const functionCodec = codec<FunctionProto>("FunctionProto");
export const tensorCodec = codec<TensorProto>("TensorProto");

export const toInt = (v: Int | undefined): number => (v === undefined ? 0 : typeof v === "number" ? v : v.toNumber());
export const toBig = (v: Int): bigint => BigInt(v.toString());

/** AttributeProto.type values. */
export const attributeTypes = {
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  FLOATS: 6,
  INTS: 7,
  STRINGS: 8,
  TENSORS: 9,
  GRAPHS: 10,
  SPARSE_TENSOR: 11,
  TYPE_PROTO: 13,
} as const;

/** Models as raw messages, for what the exporter would never write. */
import { CecError } from "../../../../compiler/core/index.js";
import {
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  modelCodec,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from "../../../../compiler/core/onnx/schema.js";

export const value = (name: string, dims: readonly (number | string)[], elem = 1): ValueInfoProto => ({
  name,
  type: { tensor_type: { elem_type: elem, shape: { dim: dims.map((d) => (typeof d === "number" ? { dim_value: d } : { dim_param: d })) } } },
});

export const node = (op_type: string, input: readonly string[], output: readonly string[], more: Partial<NodeProto> = {}): NodeProto => ({
  op_type,
  input: [...input],
  output: [...output],
  name: `${op_type}_${output[0]}`,
  ...more,
});

export const ints = (name: string, v: readonly number[]): AttributeProto => ({ name, type: 7, ints: [...v] });
export const float = (name: string, f: number): AttributeProto => ({ name, type: 1, f });
export const floatList = (name: string, v: readonly number[]): AttributeProto => ({ name, type: 6, floats: [...v] });
export const string = (name: string, s: string): AttributeProto => ({ name, type: 3, s: new TextEncoder().encode(s) });
export const int = (name: string, i: number): AttributeProto => ({ name, type: 2, i });

export const floats = (name: string, dims: readonly number[], data: readonly number[]): TensorProto => ({
  name,
  data_type: 1,
  dims: [...dims],
  raw_data: new Uint8Array(new Float32Array(data).buffer),
});
export const int64s = (name: string, data: readonly number[], dims: readonly number[] = [data.length]): TensorProto => ({
  name,
  data_type: 7,
  dims: [...dims],
  raw_data: new Uint8Array(new BigInt64Array(data.map(BigInt)).buffer),
});

export function model(graph: Partial<GraphProto>, more: Partial<ModelProto> = {}): Uint8Array {
  return modelCodec.encode({
    ir_version: 8,
    opset_import: [{ domain: "", version: 17 }],
    graph: { name: "g", node: [], input: [], output: [], initializer: [], ...graph },
    ...more,
  } as ModelProto);
}

/** The code of what a call throws; anything but a coded error with a helpful text fails the test. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    if (!(e instanceof CecError)) throw e;
    const [d] = e.diagnostics;
    if (d === undefined || d.message.length < 5 || (d.why ?? d.help ?? "").length < 5) throw new Error(`no helpful text: ${e.message}`);
    return d.code;
  }
  return "nothing";
}

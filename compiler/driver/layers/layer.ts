/** How a layer of the language is declared: what the language checks, and the ops that it stands for. */
import type { z } from "zod";
import type { LayerDeclaration } from "../../../dsl/index.js";
import {
  f32,
  fail,
  type GraphBuilder,
  lazyBlob,
  normalFrom,
  randomFrom,
  type Shape,
  streamOf,
  type Tensor,
  tensorType,
  toBytes,
  type Value,
} from "../../core/index.js";

export interface LayerContext {
  readonly b: GraphBuilder;
  /** The layer's path in the model: names of its ops and weights start with it. */
  readonly name: string;
  /** Weights `NAME.suffix`, drawn from the model's seed and this name. Normal with variance 2 / fanIn (He et al. 2015), so that ReLU nets keep their scale. */
  weights(suffix: string, dims: readonly number[], fanIn: number): Value;
  filled(suffix: string, dims: readonly number[], value: number): Value;
  constant(suffix: string, tensor: Tensor): Value;
  /** One op, named after the layer (with `.suffix` where it needs several). */
  op(kind: string, inputs: readonly (Value | null)[], attrs?: Readonly<Record<string, number | string | readonly number[]>>, suffix?: string): Value;
  /** Fails with CEC4001 in the layer's terms. */
  reject(message: string, help?: string): never;
}

export interface Layer<O = unknown> extends LayerDeclaration {
  readonly options: z.ZodType<O>;
  build(context: LayerContext, inputs: readonly Value[], options: O): Value | readonly Value[];
}

export const layer = <O>(l: Layer<O>): Layer => l as unknown as Layer;

/** Shape of a layer's operand; fails where it is unknown. */
export function shapeOf(c: LayerContext, v: Value, rank?: number): Shape {
  const shape = v.type.kind === "tensor" ? v.type.shape : null;
  if (shape === null) return c.reject("the shape of its operand is unknown");
  if (rank !== undefined && shape.length !== rank) return c.reject(`it takes operands of rank ${rank}, and this one has rank ${shape.length}`);
  return shape;
}

/** A dimension that weights depend on. */
export function fixedDim(c: LayerContext, shape: Shape, axis: number): number {
  const d = shape.at(axis);
  return typeof d === "number" ? d : c.reject(`its weights need axis ${axis} of the operand, which is the symbol ${d}`, "give that axis a number");
}

/** More elements of one weight than this are taken for a mistake. */
const MOST_ELEMENTS = 2 ** 29;

export function layerContext(b: GraphBuilder, name: string, seed: number): LayerContext {
  const elements = (suffix: string, dims: readonly number[]): number => {
    const n = dims.reduce((x, y) => x * y, 1);
    if (n > MOST_ELEMENTS)
      fail("CEC2015", { message: `layer ${name}: its ${suffix} would have ${n} elements`, why: `at most ${MOST_ELEMENTS} are allowed` });
    return n;
  };
  return {
    b,
    name,
    weights(suffix, dims, fanIn) {
      const full = `${name}.${suffix}`;
      const deviation = Math.sqrt(2 / Math.max(1, fanIn));
      const count = elements(suffix, dims);
      // Drawn when they are needed: planning the memory of a model with gigabytes of weights does not.
      const draw = (): Uint8Array => {
        const random = randomFrom(seed, streamOf(full));
        const data = new Float32Array(count);
        for (let i = 0; i < count; i++) data[i] = deviation * normalFrom(random);
        return toBytes(f32(dims, data));
      };
      return b.graph.addConstant(full, tensorType("f32", dims), lazyBlob(4 * count, draw));
    },
    filled: (suffix, dims, value) => b.constant(`${name}.${suffix}`, f32(dims, new Float32Array(elements(suffix, dims)).fill(value))),
    constant: (suffix, t) => b.constant(`${name}.${suffix}`, t),
    op: (kind, inputs, attrs = {}, suffix) => b.value(kind, inputs, attrs, suffix === undefined ? name : `${name}.${suffix}`),
    reject: (message, help) => fail("CEC4001", { message: `layer ${name}: ${message}`, ...(help === undefined ? {} : { help }) }),
  };
}

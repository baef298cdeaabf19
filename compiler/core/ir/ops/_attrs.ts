/** Attribute schemas that several op kinds share. */
import { z } from "zod";
import type { Attrs } from "../graph.js";
import type { Blob } from "../tensor.js";
import { type ElementType, elementTypes } from "../types.js";

export const int = z.number().int();
export const ints = z.array(int);
export const float = z.number();
export const floats = z.array(float);
/** Flags are 0 and 1, as in ONNX. */
export const bool01 = z.union([z.literal(0), z.literal(1)]);
export const blob = z.custom<Blob>((v) => typeof v === "object" && v !== null && "hash" in v, "a blob is expected");
/** An element type by its IR name (ONNX stores the number of its DataType). */
export const elem = z.enum(Object.keys(elementTypes) as [ElementType, ...ElementType[]]);

/** A strict attribute schema. Defaults are ONNX's; absent attributes stay absent in the IR, so that files round-trip. */
export const attrs = (shape: z.ZodRawShape): z.ZodType<Attrs> => z.object(shape).strict() as unknown as z.ZodType<Attrs>;

export const none = attrs({});

/** What fusion passes may add to conv, conv_transpose, gemm, matmul and add: an activation after the op. */
export const fused = {
  activation: z.enum(["relu", "clip"]).optional(),
  clip_min: float.optional(),
  clip_max: float.optional(),
};

export const window = {
  auto_pad: z.enum(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]).optional(),
  kernel_shape: ints.optional(),
  strides: ints.optional(),
  pads: ints.optional(),
  dilations: ints.optional(),
};

/** Window attributes of 1-D and 2-D convolutions and pools as the engine takes them: two axes, explicit pads. */
import { num, nums, type Op, type Shape, str } from "../../compiler/core/index.js";

export interface WindowAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** top, left, bottom, right. */
  readonly pads: readonly number[];
}

const filled = (op: Op, name: string, v: number, count: number): readonly number[] =>
  nums(op, name).length > 0 ? nums(op, name) : new Array<number>(count).fill(v);

/** The same for 2-D transposed convolutions, with their groups and output padding. */
export function transposedWindowAttrs(op: Op): (WindowAttrs & { readonly output_padding: readonly number[]; readonly group: number }) | string {
  if (op.attrs["output_shape"] !== undefined || (op.attrs["auto_pad"] ?? "NOTSET") !== "NOTSET") return "its output shape is given instead of pads";
  return {
    strides: filled(op, "strides", 1, 2),
    dilations: filled(op, "dilations", 1, 2),
    pads: filled(op, "pads", 0, 4),
    output_padding: filled(op, "output_padding", 0, 2),
    group: num(op, "group", 1),
  };
}

/**
 * @param spatial sizes of the spatial axes of the input
 * @param kernel sizes of the kernel; one entry for a 1-D op, which is run with height 1
 * @returns a reason where the engine cannot take the op
 */
export function windowAttrs(op: Op, spatial: Shape, kernel: readonly number[]): WindowAttrs | string {
  const n = kernel.length;
  if (n !== 1 && n !== 2) return `it has ${n} spatial axes`;
  const strides = filled(op, "strides", 1, n);
  const dilations = filled(op, "dilations", 1, n);
  let pads = filled(op, "pads", 0, 2 * n);
  const auto = str(op, "auto_pad", "NOTSET");
  if (auto === "VALID") pads = new Array<number>(2 * n).fill(0);
  else if (auto !== "NOTSET") {
    if (!spatial.every((d) => typeof d === "number")) return "auto_pad needs spatial sizes that are known";
    const total = kernel.map((k, i) =>
      Math.max(
        0,
        (Math.ceil((spatial[i] as number) / (strides[i] as number)) - 1) * (strides[i] as number) +
          (k - 1) * (dilations[i] as number) +
          1 -
          (spatial[i] as number),
      ),
    );
    const small = total.map((t) => Math.floor(t / 2));
    const large = total.map((t) => Math.ceil(t / 2));
    pads = auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small];
  }
  if (n === 2) return { strides, dilations, pads };
  return { strides: [1, strides[0] as number], dilations: [1, dilations[0] as number], pads: [0, pads[0] as number, 0, pads[1] as number] };
}

/** Rearrangement between channels and space. */
import { num, type Op } from "../graph.js";
import type { Tensor } from "../tensor.js";
import { gatherStrided, stridesOf } from "./_eval.js";

const reordered = (t: Tensor, view: readonly number[], perm: readonly number[], dims: readonly number[]): Tensor => {
  const strides = stridesOf(view);
  return {
    ...gatherStrided(
      t,
      perm.map((p) => view[p] as number),
      perm.map((p) => strides[p] as number),
    ),
    dims,
  };
};

export function depthToSpace(op: Op, t: Tensor, columnRowDepth: boolean): Tensor {
  const b = num(op, "blocksize", 1);
  const [n = 1, c = 1, h = 1, w = 1] = t.dims;
  const d = c / (b * b);
  const dims = [n, d, h * b, w * b];
  return columnRowDepth ? reordered(t, [n, d, b, b, h, w], [0, 1, 4, 2, 5, 3], dims) : reordered(t, [n, b, b, d, h, w], [0, 3, 4, 1, 5, 2], dims);
}

export function spaceToDepth(op: Op, t: Tensor): Tensor {
  const b = num(op, "blocksize", 1);
  const [n = 1, c = 1, h = 1, w = 1] = t.dims;
  return reordered(t, [n, c, h / b, b, w / b, b], [0, 3, 5, 1, 2, 4], [n, c * b * b, h / b, w / b]);
}

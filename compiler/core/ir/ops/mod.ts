import { flag } from "../graph.js";
import { defineOp } from "../op.js";
import { attrs, bool01 } from "./_attrs.js";
import { mapTensors, need } from "./_eval.js";
import { broadcastOp } from "./_infer.js";

export const mod = defineOp({
  kind: "mod",
  summary: "Remainder: sign of the divisor (fmod = 0, integers) or of the dividend (fmod = 1)",
  attrs: attrs({ fmod: bool01.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer: (ctx) => broadcastOp(ctx),
  evaluate(op, inputs) {
    const a = need(inputs, 0);
    const c = flag(op, "fmod");
    // As in Python: the remainder of truncated division, moved to the divisor's sign.
    const floorMod = (x: number, y: number): number => {
      const r = x % y;
      return r !== 0 && r < 0 !== y < 0 ? r + y : r;
    };
    const floorModBig = (x: bigint, y: bigint): bigint => (x % y !== 0n && x % y < 0n !== y < 0n ? (x % y) + y : x % y);
    return [
      mapTensors(
        [a, need(inputs, 1)],
        a.type,
        (x, y) => (c ? x! % y! : floorMod(x!, y!)),
        (x, y) => (y === 0n ? 0n : c ? x! % y! : floorModBig(x!, y!)),
      ),
    ];
  },
});

import { z } from "zod";
import { constantTensor, definePass, f32, nums, type Op, str, toNumbers, type Value } from "../../compiler/core/index.js";
import { productOf } from "./channels.js";
import { batchFor } from "./observe.js";
import { unfuseActivations } from "./unfuse.js";

/**
 * High-bias absorption (Nagel et al. 2019, section 4.1.3): a channel whose values before Relu stay above c = mean - n deviations holds c in every value. relu(y) =
 * relu(y - c) + c there, so c moves from the bias of the product that gives it to the biases of the products that read it, and the range of the
 * activation shrinks by c. Exact for values above c; those below it change, which is why it is lossy. Only through Relu, and only where all readers are products that do not pad.
 */
export const absorbBias = definePass({
  name: "absorb-bias",
  summary: "Move constant parts of activations into the next bias",
  description: "Nagel et al. 2019, section 4.1.3. Stands behind `equalize` and before `quantize`; needs calibration data.",
  from: "float",
  to: "same",
  keeps: "lossy",
  options: z
    .object({
      deviations: z.number().min(0).max(10).default(3).describe("c is the mean less this many standard deviations"),
      samples: z.number().int().min(1).default(64).describe("calibration samples, at most"),
    })
    .strict(),
  statistics: { channels: "channels whose constant part moved" },
  async run({ graph, options, rewrite, count, decide, warn, executor, calibration }) {
    const nothing = (why: string): void => warn("CEC4030", `absorb_bias moves nothing: ${why}`);
    if (executor === null || calibration === null) return nothing("it needs calibration data; add `calibrate` to the plan");
    const sites = graph.ops.filter(
      (op) => productOf(op) !== null && op.attrs["activation"] === "relu" && biasOf(op) !== null && readersOf(op) !== null,
    );
    if (sites.length === 0)
      return nothing(
        graph.opsOf("relu").length > 0 || graph.opsOf("batch_normalization").length > 0
          ? "no product with a bias and a Relu of its own gives to products without padding; put it after fold_batch_norm and fuse"
          : "it looks for a product with a bias and a Relu whose readers are all products without padding",
      );
    let absorbed = 0;
    const plain = graph.clone();
    const before = unfuseActivations(plain);
    const name = (op: Op): string => before.get((op.outputs[0] as Value).name) as string;
    const limit = Math.min(options.samples, calibration.size);
    const seen = await executor.observe(plain, sites.map(name), calibration.batches({ batch: batchFor(graph), limit }), { bins: 0, channels: true });
    for (const op of sites) {
      const s = seen.get(name(op))?.channels;
      const bias = biasOf(op);
      const readers = readersOf(op);
      if (s === undefined || bias === null || readers === null) continue;
      const moved = Array.from(bias, (_, c) => {
        const mean = s.mean[c] as number;
        return Math.max(0, mean - options.deviations * Math.sqrt(Math.max(0, (s.meanSquare[c] as number) - mean * mean)));
      });
      const channels = moved.filter((c) => c > 0).length;
      if (channels === 0) continue;
      rewrite.patch(op, `constant part of ${channels} channels moved on`, (edit) => {
        const set = (o: Op, values: readonly number[]): void => {
          const label = o.inputs[2]?.name ?? `${(o.inputs[1] as Value).name}.bias`;
          edit.setInput(o, 2, edit.constant(label, f32([values.length], values)));
        };
        set(
          op,
          Array.from(bias, (b, c) => b - (moved[c] as number)),
        );
        for (const reader of readers) {
          const p = productOf(reader);
          if (p === null) continue;
          const w = toNumbers(constantTensor(reader.inputs[1]) as never);
          const old = biasOf(reader) ?? new Float64Array(p.outs);
          set(
            reader,
            Array.from(old, (b, o) => {
              let sum = b;
              for (let i = 0; i < p.ins; i++)
                for (let k = 0; k < p.taps; k++) sum += (w[p.at(o, i, k)] as number) * (moved[Math.floor(o / p.perGroup) * p.ins + i] as number);
              return sum;
            }),
          );
        }
      });
      count("channels", channels);
      absorbed += channels;
      decide(op, "bias absorbed", "channels that are on in nearly all values; the largest constant part", Math.max(...moved));
    }
    if (absorbed === 0) nothing(`no channel lies ${options.deviations} deviations above zero, so that nothing of it is constant`);

    /** Products that read the result, all of them without padding; `null` where others read it. */
    function readersOf(op: Op): Op[] | null {
      const y = op.outputs[0] as Value;
      const users = graph.users(y);
      const fine = (u: Op): boolean =>
        productOf(u)?.x === y &&
        u.kind !== "matmul" &&
        nums(u, "pads").every((p) => p === 0) &&
        ["", "NOTSET", "VALID"].includes(str(u, "auto_pad", ""));
      return users.length === 0 || graph.isOutput(y) || !users.every(fine) ? null : users;
    }
  },
});

function biasOf(op: Op): Float64Array | null {
  const t = constantTensor(op.inputs[2] ?? null);
  return t === null ? null : Float64Array.from(toNumbers(t));
}

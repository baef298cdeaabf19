/**
 * A model as pieces of its file, in which the weights stand as they are in memory: writing a model takes no second copy of it.
 * The order of fields is free in protobuf; the graph comes last, and in it the initializers.
 */
import { type GraphProto, graphCodec, type ModelProto, modelCodec, type TensorProto, tensorCodec } from "./schema.js";

/** Field numbers of the messages that are put together by hand. */
const fields = { "ModelProto.graph": 7, "GraphProto.initializer": 5, "TensorProto.raw_data": 9 } as const;

/** Weights below this many bytes are copied: pieces have a cost of their own. */
const LEAST_PIECE = 4096;

/** Head of a length-delimited field: its key and length as varints. */
function head(field: number, length: number): Uint8Array {
  const out = [(field << 3) | 2];
  let n = length;
  for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  out.push(n);
  return Uint8Array.from(out);
}

const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((n, p) => n + p.length, 0);

function tensorParts(t: TensorProto): Uint8Array[] {
  const { raw_data: data, ...rest } = t;
  if (data === undefined || data.length < LEAST_PIECE) return [tensorCodec.encode(t)];
  return [tensorCodec.encode(rest), head(fields["TensorProto.raw_data"], data.length), data];
}

function graphParts(graph: GraphProto): Uint8Array[] {
  const { initializer = [], ...rest } = graph;
  return [
    graphCodec.encode(rest),
    ...initializer.flatMap((t) => {
      const parts = tensorParts(t);
      return [head(fields["GraphProto.initializer"], lengthOf(parts)), ...parts];
    }),
  ];
}

/** The pieces of the file, to be written one after the other. Weights among them are views: they must not change until then. */
export function modelParts(model: ModelProto): Uint8Array[] {
  const { graph, ...rest } = model;
  const parts = graph == null ? [] : graphParts(graph);
  return coalesced([modelCodec.encode(rest), head(fields["ModelProto.graph"], lengthOf(parts)), ...parts]);
}

/** Runs of small pieces as one. */
function coalesced(parts: readonly Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  const flush = (): void => {
    if (run.length > 0) out.push(run.length === 1 ? (run[0] as Uint8Array) : joined(run));
    run = [];
  };
  for (const p of parts) {
    if (p.length < LEAST_PIECE) run.push(p);
    else {
      flush();
      out.push(p);
    }
  }
  flush();
  return out;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(lengthOf(parts));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

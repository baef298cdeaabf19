/** Attribute protos to IR attributes and back. */
import { fail } from "../diagnostics/index.js";
import type { Attrs, AttrValue } from "../ir/graph.js";
import { floatAttributes } from "./op-types.js";
import { type AttributeProto, attributeTypes, type NodeProto, toInt } from "./schema.js";

/** Absent byte fields are empty arrays in decoded messages, not byte arrays. */
const text = (b: Uint8Array | undefined): string =>
  b === undefined || b.length === 0 ? "" : new TextDecoder("utf-8", { ignoreBOM: true }).decode(b);

/** Attribute names that only say how a node is run elsewhere. */
const ignored: ReadonlySet<string> = new Set(["consumed_inputs"]);

/** Plain attributes of a node; tensors, graphs and types are left out (`protoAttribute` gives those). */
export function plainAttributes(node: NodeProto, where: string): Record<string, AttrValue> {
  const out: Record<string, AttrValue> = {};
  const seen = new Set<string>();
  for (const a of node.attribute ?? []) {
    const name = a.name ?? "";
    if (seen.has(name)) fail("CEC3010", { message: `${where} has the attribute "${name}" twice`, at: { node: node.name ?? "" } });
    seen.add(name);
    if (ignored.has(name)) continue;
    switch (kindOfAttribute(a)) {
      case attributeTypes.FLOAT:
        out[name] = a.f ?? 0;
        break;
      case attributeTypes.INT:
        out[name] = toInt(a.i);
        break;
      case attributeTypes.STRING:
        out[name] = text(a.s);
        break;
      case attributeTypes.FLOATS:
        out[name] = [...(a.floats ?? [])];
        break;
      case attributeTypes.INTS:
        out[name] = (a.ints ?? []).map(toInt);
        break;
      case attributeTypes.STRINGS:
        out[name] = (a.strings ?? []).map(text);
        break;
      default:
        break;
    }
  }
  return out;
}

/** Files of IR version 1 and 2 leave `type` unset: then the field that is set tells. */
function kindOfAttribute(a: AttributeProto): number {
  if (a.type !== undefined && a.type !== 0) return a.type;
  if (a.ints !== undefined && a.ints.length > 0) return attributeTypes.INTS;
  if (a.floats !== undefined && a.floats.length > 0) return attributeTypes.FLOATS;
  if (a.strings !== undefined && a.strings.length > 0) return attributeTypes.STRINGS;
  if (a.t != null) return attributeTypes.TENSOR;
  if (a.g != null) return attributeTypes.GRAPH;
  if (a.s !== undefined && a.s.length > 0) return attributeTypes.STRING;
  return a.f !== undefined && a.f !== 0 ? attributeTypes.FLOAT : attributeTypes.INT;
}

export const protoAttribute = (node: NodeProto, name: string): AttributeProto | undefined => (node.attribute ?? []).find((a) => a.name === name);

/** True when an attribute refers to one of the enclosing function: such a node is only valid inside its function. */
export const hasReferences = (node: NodeProto): boolean => (node.attribute ?? []).some((a) => (a.ref_attr_name ?? "") !== "");

/** IR attributes as protos, sorted by name so that files are reproducible. Blobs are left to the caller. */
export function attributeProtos(attrs: Attrs): AttributeProto[] {
  const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
  const out: AttributeProto[] = [];
  for (const name of Object.keys(attrs).sort()) {
    const v = attrs[name] as AttrValue;
    if (typeof v === "number")
      out.push(floatAttributes.has(name) ? { name, type: attributeTypes.FLOAT, f: v } : { name, type: attributeTypes.INT, i: v });
    else if (typeof v === "boolean") out.push({ name, type: attributeTypes.INT, i: v ? 1 : 0 });
    else if (typeof v === "string") out.push({ name, type: attributeTypes.STRING, s: bytes(v) });
    else if (Array.isArray(v)) {
      if (v.some((e) => typeof e === "string")) out.push({ name, type: attributeTypes.STRINGS, strings: v.map((e) => bytes(String(e))) });
      else if (floatAttributes.has(name)) out.push({ name, type: attributeTypes.FLOATS, floats: v as number[] });
      else out.push({ name, type: attributeTypes.INTS, ints: v as number[] });
    }
  }
  return out;
}

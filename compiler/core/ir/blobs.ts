/** A blob store in one file: an index in JSON on the first line, then the bytes of each blob in order. What a reproducer keeps beside its text. */
import { fail } from "../diagnostics/index.js";
import { type Blob, memoryBlob } from "./tensor.js";

export function packBlobs(blobs: ReadonlyMap<string, Blob>): Uint8Array {
  const index = JSON.stringify([...blobs].map(([hash, b]) => [hash, b.byteLength]));
  const head = new TextEncoder().encode(`${index}\n`);
  const out = new Uint8Array(head.length + [...blobs.values()].reduce((n, b) => n + b.byteLength, 0));
  out.set(head);
  let at = head.length;
  for (const b of blobs.values()) {
    out.set(b.bytes(), at);
    at += b.byteLength;
  }
  return out;
}

/** Finds blobs of a packed store by SHA-256. Throws CEC4010 when the bytes are no store. */
export function unpackBlobs(bytes: Uint8Array, file: string): (sha256: string) => Blob | undefined {
  const end = bytes.indexOf(10);
  const map = new Map<string, Blob>();
  try {
    let at = end + 1;
    for (const [hash, length] of JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as [string, number][]) {
      map.set(hash, memoryBlob(bytes.subarray(at, at + length)));
      at += length;
    }
  } catch (error) {
    fail("CEC4010", {
      message: `${file} is no blob store`,
      why: (error as Error).message,
      help: "it is written beside the .cir file of a reproducer",
    });
  }
  return (hash) => map.get(hash);
}

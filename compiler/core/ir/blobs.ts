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

const isIndex = (v: unknown): v is readonly (readonly [hash: string, length: number])[] =>
  Array.isArray(v) &&
  v.every((e) => Array.isArray(e) && e.length === 2 && /^[0-9a-f]{64}$/.test(String(e[0])) && Number.isSafeInteger(e[1]) && e[1] >= 0);

/**
 * Finds blobs of a packed store by SHA-256. The bytes of a blob are checked against its hash when it is asked for.
 * @throws CecError CEC4010 when the bytes are no store, are cut short, or (from the result) do not have the hash that they stand under
 */
export function unpackBlobs(bytes: Uint8Array, file: string): (sha256: string) => Blob | undefined {
  const reject = (why: string): never =>
    fail("CEC4010", { message: `${file} is no blob store, or a damaged one`, why, help: "it is written beside the .cir file of a reproducer" });
  const end = bytes.indexOf(10);
  if (end < 0) return reject("its index has no end");
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  } catch (error) {
    return reject((error as Error).message);
  }
  if (!isIndex(index)) return reject("its index is not a list of hashes and lengths");
  const map = new Map<string, Blob>();
  let at = end + 1;
  for (const [hash, length] of index) {
    if (at + length > bytes.byteLength) return reject(`it ends at byte ${bytes.byteLength}, a blob reaches to byte ${at + length}`);
    map.set(hash, memoryBlob(bytes.subarray(at, at + length)));
    at += length;
  }
  return (hash) => {
    const blob = map.get(hash);
    if (blob !== undefined && blob.hash() !== hash) reject(`the bytes of sha256:${hash.slice(0, 12)}… are not those that were written`);
    return blob;
  };
}

/** Ctrl-C during a search or a training ends that; at any other time, or a second time, the command. */
import { note } from "./output.js";

let current: { readonly controller: AbortController; readonly says: string } | null = null;

/** Signal that the first Ctrl-C aborts until `done` is called. `says` is what the user then reads. */
export function interruptible(says: string): { readonly signal: AbortSignal; done(): void } {
  const mine = { controller: new AbortController(), says };
  current = mine;
  return {
    signal: mine.controller.signal,
    done() {
      if (current === mine) current = null;
    },
  };
}

/** True where something was running that now ends by itself. */
export function interrupt(): boolean {
  if (current === null) return false;
  const { controller, says } = current;
  current = null;
  controller.abort();
  note(`${says} (Ctrl-C again ends that too)`);
  return true;
}

/** Ctrl-C during a search ends the search; at any other time, or a second time, the command. */

import { note } from "./output.js";

let search: AbortController | null = null;

/** Signal that the first Ctrl-C aborts until `done` is called. */
export function searchStop(): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  search = controller;
  return {
    signal: controller.signal,
    done() {
      if (search === controller) search = null;
    },
  };
}

/** True where a search was running, and now ends. */
export function stopSearch(): boolean {
  if (search === null) return false;
  search.abort();
  search = null;
  note("the search ends, and the best so far is built (Ctrl-C again ends that too)");
  return true;
}

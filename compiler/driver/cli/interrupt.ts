/** Ctrl-C during a search or a training ends that; at any other time, or a second time, the command. */

let current: AbortController | null = null;

/** Signal that the first Ctrl-C aborts until `done` is called. */
export function interruptible(): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  current = controller;
  return {
    signal: controller.signal,
    done() {
      if (current === controller) current = null;
    },
  };
}

/** True where something was running that now ends by itself. */
export function interrupt(): boolean {
  if (current === null) return false;
  current.abort();
  current = null;
  return true;
}

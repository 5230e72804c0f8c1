/** The wizard's steps: one is open, the ones before it show what was chosen, the ones after it wait. */

/** What a step says of itself. */
export interface StepState {
  /** What was chosen, for its head; empty when nothing is. */
  words: string;
  /** Why one can't go on; null when the step is complete. */
  problem: string | null;
}

const order = ["snapshot", "files", "target", "confirm"] as const;
export type StepName = (typeof order)[number];

interface Step {
  name: StepName;
  section: HTMLElement;
  body: HTMLElement;
  chosen: HTMLElement;
  change: HTMLButtonElement;
}

export class RestoreSteps {
  private readonly steps: Step[];
  private readonly stateOf: (name: StepName) => StepState;
  private readonly onOpen: (name: StepName) => void;
  private open: StepName = "snapshot";
  /** The farthest step that was open: everything up to there can be gone back to. */
  private reached = 0;

  constructor(parts: {
    form: HTMLElement;
    stateOf: (name: StepName) => StepState;
    onOpen: (name: StepName) => void;
    signal: AbortSignal;
  }) {
    this.stateOf = parts.stateOf;
    this.onOpen = parts.onOpen;
    this.steps = order.flatMap((name) => findStep(parts.form, name));
    for (const step of this.steps) {
      step.change.addEventListener("click", () => this.go(step.name), { signal: parts.signal });
      const next = step.body.querySelector("[data-step-next]");
      next?.addEventListener("click", () => this.goOn(step), { signal: parts.signal });
    }
  }

  get current(): StepName {
    return this.open;
  }

  /** Opens the first step that is not complete, but none after `last`. */
  start(last: StepName): void {
    const complete = order.findIndex((name) => name === last || this.stateOf(name).problem !== null);
    this.go(order[complete] ?? "snapshot", false);
  }

  /** Leaves every step open: a refused form shows all its problems. */
  openAll(): void {
    this.reached = order.length;
    this.open = "confirm";
    for (const { body, change } of this.steps) {
      body.hidden = false;
      change.hidden = true;
    }
    for (const name of order) this.onOpen(name);
    this.refresh();
  }

  /** After anything was chosen: the heads are written anew, and what keeps one from going on where it was said. */
  refresh(): void {
    for (const { name, chosen, section, body } of this.steps) {
      const { words, problem } = this.stateOf(name);
      const word = body.querySelector("[data-step-problem]");
      if (word?.textContent) word.textContent = problem;
      const isReached = this.reached >= order.indexOf(name);
      chosen.textContent = isReached ? words : "";
      chosen.title = chosen.textContent;
      section.dataset.state = problem === null && isReached ? "done" : "waiting";
    }
  }

  go(name: StepName, isMove = true): void {
    this.open = name;
    this.reached = Math.max(this.reached, order.indexOf(name));
    for (const [index, step] of this.steps.entries()) {
      const isOpen = step.name === name;
      step.body.hidden = !isOpen;
      step.section.dataset.open = String(isOpen);
      step.change.hidden = isOpen || index > this.reached;
    }
    this.refresh();
    this.onOpen(name);
    const opened = this.steps.find((step) => step.name === name)?.section;
    if (!isMove || opened === undefined) return;
    opened.scrollIntoView({ block: "nearest" });
    const first = opened.querySelector<HTMLElement>(
      '[role="treeitem"][tabindex="0"], .step-body input:not([type=hidden]), .step-body select, .step-body button',
    );
    first?.focus({ preventScroll: true });
  }

  /** From the open step to the one after it. */
  next(): void {
    const step = this.steps.find(({ name }) => name === this.open);
    if (step) this.goOn(step);
  }

  private goOn(step: Step): void {
    const { problem } = this.stateOf(step.name);
    const word = step.body.querySelector("[data-step-problem]");
    if (word !== null) word.textContent = problem ?? "";
    const following = order[order.indexOf(step.name) + 1];
    if (problem === null && following !== undefined) this.go(following);
  }
}

function findStep(form: HTMLElement, name: StepName): Step[] {
  const section = form.querySelector<HTMLElement>(`[data-step="${name}"]`);
  const body = section?.querySelector<HTMLElement>("[data-step-body]");
  const chosen = section?.querySelector<HTMLElement>("[data-step-chosen]");
  const change = section?.querySelector<HTMLButtonElement>("[data-step-change]");
  return section && body && chosen && change ? [{ name, section, body, chosen, change }] : [];
}

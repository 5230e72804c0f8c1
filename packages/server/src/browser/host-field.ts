/** A field for the name of a host: proposes names while one types, knows which host stands there, and says when none does. */
import { ask } from "./ask.ts";
import { element } from "./elements.ts";

export interface NamedHost {
  id: string;
  name: string;
  online: boolean;
}

/** As long as a pause between two keys. */
const typingMs = 160;
const proposed = "20";
/** Names differ by more than their case. */
const keyOf = (name: string): string => name.toLowerCase();

export class HostField {
  private readonly input: HTMLInputElement;
  private readonly list: HTMLDataListElement;
  private readonly isOnlineOnly: boolean;
  private readonly known = new Map<string, NamedHost>();
  /** Names that nobody has. */
  private readonly unknown = new Set<string>();
  /** What the server said of the field, or what is said here; on the page only while there is something to say. */
  private readonly error: HTMLElement;
  private readonly onAnswer: () => void;
  private readonly signal: AbortSignal;
  private timer = 0;
  private isTyped = false;

  /** @param parts `onAnswer` is called when more is known of what stands there */
  constructor(parts: {
    box: HTMLElement;
    input: HTMLInputElement;
    list: HTMLDataListElement;
    onAnswer: () => void;
    signal: AbortSignal;
  }) {
    this.input = parts.input;
    this.list = parts.list;
    this.error = parts.box.querySelector<HTMLElement>(".field-error") ?? element("p", "field-error");
    this.isOnlineOnly = "onlineOnly" in parts.box.dataset;
    this.onAnswer = parts.onAnswer;
    this.signal = parts.signal;
    for (const { value, dataset } of this.list.options)
      this.learn({ id: dataset.id ?? "", name: value, online: "online" in dataset });
    this.input.addEventListener("input", () => this.typed(), { signal: parts.signal });
  }

  /** As it stands there, without blanks around it. */
  get name(): string {
    return this.input.value.trim();
  }

  /** Null: nobody has that name, or it is still asked for. */
  get host(): NamedHost | null {
    return this.known.get(keyOf(this.name)) ?? null;
  }

  /** Why nothing can be done with what stands there; null when something can, or it is not known yet. */
  get problem(): string | null {
    if (!this.unknown.has(keyOf(this.name))) return null;
    return `There is no host ${this.isOnlineOnly ? "online " : ""}called ${this.name}.`;
  }

  /** Asks what the name is that stands there already. */
  async look(): Promise<void> {
    const { name } = this;
    const [proposals] = await Promise.all([this.find({ q: name, limit: proposed }), this.learnOf(name)]);
    if (name !== this.name) return;
    if (proposals !== null) this.propose(proposals);
    // What the server said of it stays until something else is typed.
    if (this.isTyped || this.problem !== null) this.showProblem();
    this.onAnswer();
  }

  private showProblem(): void {
    const { problem, error, input } = this;
    error.textContent = problem ?? "";
    if (problem === null) error.remove();
    else if (!error.isConnected) input.after(error);
    input.closest(".field")?.classList.toggle("invalid", problem !== null);
    if (problem === null) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
  }

  private typed(): void {
    this.isTyped = true;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look().catch(() => undefined), typingMs);
  }

  /** A name that is a part of many others may not be among the first of them. */
  private async learnOf(name: string): Promise<void> {
    if (name === "" || this.known.has(keyOf(name))) return;
    const found = await this.find({ name });
    if (found?.length === 0) this.unknown.add(keyOf(name));
  }

  /** @returns null when there is no answer now */
  private async find(wanted: Record<string, string>): Promise<NamedHost[] | null> {
    const query = new URLSearchParams({ ...wanted, ...(this.isOnlineOnly ? { state: "online" } : {}) });
    const answer = await ask<{ hosts: NamedHost[] }>(`/api/hosts?${query}`, this.signal);
    if (!answer.ok) return null;
    for (const host of answer.body.hosts) this.learn(host);
    return answer.body.hosts;
  }

  private learn(host: NamedHost): void {
    this.known.set(keyOf(host.name), host);
  }

  private propose(hosts: readonly NamedHost[]): void {
    const options = hosts.map(({ name, online }) => {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = online ? "online" : "offline";
      return option;
    });
    this.list.replaceChildren(...options);
  }
}

/** The field that is called `name`; null when the page has none. */
export function findHostField(
  root: ParentNode,
  name: string,
  { onAnswer, signal }: { onAnswer: () => void; signal: AbortSignal },
): HostField | null {
  const box = root.querySelector<HTMLElement>(`[data-host-field="${name}"]`);
  const input = box?.querySelector<HTMLInputElement>("input[list]");
  const list = box?.querySelector<HTMLDataListElement>("datalist");
  return box && input && list ? new HostField({ box, input, list, onAnswer, signal }) : null;
}

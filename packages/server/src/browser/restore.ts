/** Entry of the module on the restore wizard's page: the steps, the tree, what was chosen, and its words. */
import type { Refused } from "./ask.ts";
import { element, textButton } from "./elements.ts";
import { findHostField, type HostField, type NamedHost } from "./host-field.ts";
import { downloadUrl, type Place } from "./restore-api.ts";
import { type Count, RestoreCount } from "./restore-count.ts";
import { dropDraft, fillForm, findDraft, saveDraft } from "./restore-draft.ts";
import { RestoreSearch } from "./restore-search.ts";
import { type Item, Selection } from "./restore-selection.ts";
import { RestoreSteps, type StepName, type StepState } from "./restore-steps.ts";
import { RestoreTree } from "./restore-tree.ts";
import { downloadLink, RestoreVersions } from "./restore-versions.ts";
import { type Choice, figureWords, itemWords, namesOf, restoreSentences } from "./restore-words.ts";

/** As many selections as one restore takes. */
const maxItems = 1000;

/** @throws Error when the page is not the one that this module is for */
function must<E extends Element>(root: ParentNode, selector: string): E {
  const found = root.querySelector<E>(selector);
  if (found === null) throw new Error(`The page has no ${selector}.`);
  return found;
}

class Wizard {
  private readonly box: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly signal: AbortSignal;
  private readonly selection = new Selection();
  private readonly tree: RestoreTree;
  private readonly search: RestoreSearch;
  private readonly versions: RestoreVersions;
  private readonly counting: RestoreCount;
  private readonly steps: RestoreSteps;
  /** Whose agent reads while the host is away, and onto which host the files go; null where no other host could. */
  private readonly reader: HostField | null;
  private readonly target: HostField | null;
  /** Snapshot and reader of the tree that is drawn. */
  private drawn = "";

  constructor(box: HTMLElement, signal: AbortSignal) {
    this.box = box;
    this.signal = signal;
    this.form = must<HTMLFormElement>(box, "#restore-form");
    const tree = must<HTMLElement>(box, "[data-tree]");
    const shared = {
      selection: this.selection,
      place: () => this.place(),
      snapshotId: () => this.snapshot()?.value ?? "",
      say: (refused: Refused | null) => this.say(refused),
      verbs: (item: Item) => this.verbsOf(item),
      signal,
    };
    this.reader = findHostField(box, "via", { signal, onAnswer: () => this.drawTree() });
    this.target = findHostField(box, "to", { signal, onAnswer: () => this.refresh() });
    this.tree = new RestoreTree({ ...shared, box: tree, onChange: () => this.chosen(true) });
    this.search = new RestoreSearch({
      ...shared,
      tree,
      input: must<HTMLInputElement>(box, "#tree-pattern"),
      end: must<HTMLButtonElement>(box, "[data-tree-search-end]"),
      word: must<HTMLElement>(box, "[data-tree-word]"),
      onChange: () => this.chosen(true),
    });
    this.versions = new RestoreVersions({
      dialog: must<HTMLDialogElement>(box, "[data-versions]"),
      place: () => this.place(),
      downloads: this.hasDownloads(),
      choose: (snapshotId, item) => this.chooseVersion(snapshotId, item),
      signal,
    });
    this.counting = new RestoreCount({
      ...{ place: shared.place, snapshotId: shared.snapshotId, signal },
      onChange: () => this.refresh(),
    });
    this.steps = new RestoreSteps({
      form: this.form,
      stateOf: (name) => this.stateOf(name),
      onOpen: (name) => this.opened(name),
      signal,
    });
  }

  start(): void {
    const { form, box, signal } = this;
    const draft = findDraft(this.hostId());
    if (draft) {
      fillForm(form, draft);
      for (const item of draft.items) this.selection.add(item);
    } else dropDraft(this.hostId());
    for (const field of [this.reader, this.target])
      if (field && field.name !== "") void field.look().catch(() => undefined);
    this.takePaths();
    this.hideLines();
    form.addEventListener("input", () => this.changed(), { signal });
    form.addEventListener("keydown", (event) => this.pressEnter(event), { signal });
    form.addEventListener("change", (event) => this.changedBy(event.target), { signal });
    must(box, "[data-tree-clear]").addEventListener("click", () => this.clear(), { signal });
    // A restored form of the browser's own comes after the scripts.
    window.addEventListener("pageshow", () => this.changed(), { signal });
    if ("openAll" in box.dataset) this.showProblems();
    else this.steps.start(draft ? "confirm" : "files");
    this.chosen(false);
  }

  /** What is typed becomes a selection like any other; what is wrong with the paths is still to be read. */
  private hideLines(): void {
    const lines = must<HTMLElement>(this.box, "[data-lines]");
    lines.hidden = lines.querySelector(".field-error") === null;
    for (const part of lines.querySelectorAll<HTMLElement>("label, textarea, .hint")) part.hidden = true;
  }

  /** Of a refused form everything is open, and the first field to be corrected is in sight. */
  private showProblems(): void {
    this.steps.openAll();
    this.refresh();
    this.form.querySelector<HTMLElement>('[aria-invalid="true"]:not([hidden])')?.focus();
  }

  private hostId = (): string => this.box.dataset.restore ?? "";
  /** The host's own agent sends the bytes. */
  private hasDownloads = (): boolean => "downloads" in this.box.dataset && "hostOnline" in this.box.dataset;
  private sourceName = (): string => this.box.dataset.hostName ?? "";

  private place(): Place {
    return { hostId: this.hostId(), via: this.reader?.host?.id ?? "" };
  }

  private canRead(): boolean {
    return "hostOnline" in this.box.dataset || this.place().via !== "";
  }

  private whyUnread(): string {
    const { reader } = this;
    if (reader?.problem) return reader.problem;
    if (reader) return `${this.sourceName()} is offline. Choose a host above that looks into its snapshot.`;
    return `${this.sourceName()} is offline, so nobody can look into its snapshot now.`;
  }

  private snapshot(): HTMLInputElement | null {
    return this.form.querySelector<HTMLInputElement>("input[name=snapshot]:checked");
  }

  private valueOf(name: string): string {
    const field = this.form.querySelector<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>(
      `[name="${name}"]`,
    );
    return field?.value ?? "";
  }

  private isChecked(name: string, value: string): boolean {
    return this.form.querySelector<HTMLInputElement>(`[name="${name}"][value="${value}"]`)?.checked ?? false;
  }

  /** Null while nobody is known by the name that stands there. Its own host is no other one, and has no id here. */
  private targetHost(): NamedHost | null {
    const { target } = this;
    const own = { id: "", name: this.sourceName(), online: "hostOnline" in this.box.dataset };
    if (target === null || target.name === "") return own;
    return target.host?.id === this.hostId() ? own : target.host;
  }

  private whyNotTarget(): string | null {
    const { target } = this;
    if (this.targetHost() !== null || target === null) return null;
    return target.problem ?? `Looking for ${target.name}…`;
  }

  /** The selections that the page came with, and the lines that somebody had typed without scripts. */
  private takePaths(): void {
    const box = must<HTMLElement>(this.box, "[data-paths]");
    const lines = must<HTMLTextAreaElement>(this.form, "[name=lines]");
    const refs = [
      ...[...box.querySelectorAll("input")].map(({ value }) => value),
      ...lines.value.split(/\r?\n/).filter((line) => line.startsWith("/")),
    ];
    lines.value = "";
    for (const ref of refs) {
      const item: Item = { ref, path: ref, kind: "path", sizeBytes: null };
      try {
        this.selection.add(item);
      } catch {
        // Not the base64 of anything: the server says so, the tree has no place for it.
      }
    }
  }

  private verbsOf(item: Item): HTMLElement[] {
    if (item.kind !== "file") return [];
    const label = `Versions of ${item.path}`;
    const versions = textButton("btn small", "Versions", () => void this.versions.show(item));
    versions.setAttribute("aria-label", label);
    const verbs: HTMLElement[] = [versions];
    const url = this.hasDownloads() ? downloadUrl(this.place(), this.snapshot()?.value ?? "", [item]) : null;
    if (url !== null) verbs.push(downloadLink(url, `Download ${item.path}`));
    for (const verb of verbs) verb.tabIndex = -1;
    return verbs;
  }

  private say(refused: Refused | null): void {
    const word = must<HTMLElement>(this.box, "[data-tree-word]");
    word.classList.toggle("fail", refused !== null);
    if (refused === null) {
      if (word.dataset.refused !== undefined) word.textContent = "";
      delete word.dataset.refused;
      return;
    }
    word.dataset.refused = "";
    word.textContent = refused.words;
    if (!refused.signedOut) return;
    const link = element("a", "link", "Sign in again") as HTMLAnchorElement;
    link.href = `/login?next=${encodeURIComponent(`${location.pathname}${location.search}`)}`;
    word.replaceChildren("Your session has ended. ", link, ": what you chose is kept.");
  }

  /** In a field it leads to the next step, and never starts a restore. */
  private pressEnter(event: KeyboardEvent): void {
    const isField = event.target instanceof HTMLInputElement && event.target.name !== "";
    if (event.key !== "Enter" || !isField || event.defaultPrevented) return;
    event.preventDefault();
    this.steps.next();
  }

  private clear(): void {
    this.selection.clear();
    this.chosen(true);
  }

  private chooseVersion(snapshotId: string, item: Item): void {
    const radio = this.form.querySelector<HTMLInputElement>(`input[name=snapshot][value="${snapshotId}"]`);
    if (radio === null) {
      location.assign(
        `${location.pathname}?${new URLSearchParams({ snapshot: snapshotId, path: item.ref })}`,
      );
      return;
    }
    radio.checked = true;
    this.selection.clear();
    this.selection.add(item);
    this.search.end();
    this.drawTree();
    this.chosen(true);
  }

  private changedBy(target: EventTarget | null): void {
    const isSnapshot = target instanceof HTMLInputElement && target.name === "snapshot";
    this.changed();
    // One click is the whole step.
    if (isSnapshot && this.steps.current === "snapshot" && !("openAll" in this.box.dataset))
      this.steps.go("files");
    else if (isSnapshot) this.drawTree();
  }

  private opened(name: StepName): void {
    if (name === "files") this.drawTree();
  }

  private drawTree(): void {
    const { via } = this.place();
    const wanted = `${this.snapshot()?.value ?? ""} ${via}`;
    if (!this.canRead()) this.say({ words: this.whyUnread(), signedOut: false });
    if (this.snapshot() === null || !this.canRead() || wanted === this.drawn) return;
    this.drawn = wanted;
    this.search.end();
    void this.tree.show();
  }

  /** The selection has changed. */
  private chosen(isMove: boolean): void {
    const { items } = this.selection;
    const inputs = items.map(({ ref }) => {
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = "path";
      input.value = ref;
      return input;
    });
    must<HTMLElement>(this.box, "[data-paths]").replaceChildren(...inputs);
    this.tree.markAll();
    this.search.markAll();
    must<HTMLElement>(this.box, "[data-tree-clear]").hidden = items.length === 0;
    this.offerDownload(items);
    if (isMove) this.changed();
    else this.refresh();
  }

  private offerDownload(items: readonly Item[]): void {
    for (const link of this.box.querySelectorAll<HTMLAnchorElement>("[data-tree-download]")) {
      const archive = link.dataset.treeDownload === "zip" ? "zip" : "tar";
      // A path that the page came with may be a folder: a tar holds either.
      const url = this.hasDownloads()
        ? downloadUrl(this.place(), this.snapshot()?.value ?? "", items, archive)
        : null;
      link.hidden = url === null;
      if (url !== null) link.href = url;
    }
  }

  private changed(): void {
    saveDraft(this.hostId(), this.form, this.selection.items);
    this.refresh();
  }

  /** Everything that follows from what is chosen. */
  private refresh(): void {
    this.counting.follow(this.selection.items, this.canRead());
    must<HTMLElement>(this.box, "[data-tree-chosen]").textContent = chosenWords(
      this.selection.items,
      this.counting.count,
    );
    const inPlace = this.isChecked("target", "in_place");
    for (const part of this.form.querySelectorAll<HTMLElement>("[data-target]"))
      part.hidden = (part.dataset.target === "in_place") !== inPlace;
    const target = this.targetHost();
    const name = this.targetName();
    const warning = this.form.querySelector<HTMLElement>("[data-to-warning]");
    if (warning !== null) warning.hidden = target?.id === "";
    const needsName = inPlace || target?.id !== "";
    must<HTMLElement>(this.form, "[data-confirm-name]").hidden = !needsName;
    must<HTMLElement>(this.form, "[data-written-host]").textContent = name;
    must<HTMLElement>(this.form, "[data-confirm-why]").textContent = inPlace
      ? "because files there may be replaced"
      : "because another host’s files go there";
    const sentences = restoreSentences(this.choice(inPlace, name));
    const words = sentences.map((sentence) => element("p", "", sentence));
    const offline = `${name} is offline: nothing can be restored onto it now.`;
    const obstacle = this.whyNotTarget() ?? (target?.online ? null : offline);
    must<HTMLElement>(this.form, "[data-restore-words]").replaceChildren(
      ...words,
      ...(obstacle === null ? [] : [element("p", "warn", obstacle)]),
    );
    for (const button of this.form.querySelectorAll<HTMLButtonElement>("[data-restore-now]"))
      button.disabled = obstacle !== null;
    this.steps.refresh();
  }

  private choice(inPlace: boolean, hostName: string): Choice {
    const snapshot = this.snapshot();
    const figure = (text: string | undefined) => (text === undefined ? null : Number(text));
    const lines = (name: string) =>
      this.valueOf(name)
        .split("\n")
        .filter((line) => line.trim() !== "").length;
    return {
      snapshot: snapshot && {
        words: snapshot.dataset.words ?? "",
        files: figure(snapshot.dataset.files),
        bytes: figure(snapshot.dataset.bytes),
      },
      ...{ items: this.selection.items, count: this.counting.count },
      ...{ hostName, sourceName: this.sourceName(), inPlace, overwrite: this.valueOf("overwrite") },
      directory: this.valueOf("directory").trim(),
      keepOwners: this.isChecked("keep_ownership", "on"),
      ...{ includes: lines("includes"), excludes: lines("excludes"), moved: lines("path_map") },
      verify: this.isChecked("verify", "on"),
    };
  }

  private stateOf(name: StepName): StepState {
    const { items } = this.selection;
    switch (name) {
      case "snapshot": {
        const words = this.snapshot()?.dataset.words ?? "";
        return { words, problem: words === "" ? "Choose a snapshot." : null };
      }
      case "files":
        return {
          words: items.length === 0 ? "" : `${itemWords(items)}: ${namesOf(items)}`,
          problem: filesProblem(items),
        };
      case "target":
        return { words: this.targetWords(), problem: this.whyNotTarget() };
      case "confirm":
        return { words: "", problem: null };
    }
  }

  private targetName = (): string => this.targetHost()?.name ?? this.target?.name ?? "";

  private targetWords(): string {
    const name = this.targetName();
    if (this.isChecked("target", "in_place")) return `in place on ${name}`;
    const directory = this.valueOf("directory").trim();
    return `${directory === "" ? "a new folder" : directory} on ${name}`;
  }
}

function chosenWords(items: readonly Item[], count: Count): string {
  if (items.length === 0) return "Nothing is chosen yet.";
  const figures = count === null || count === "counting" ? "" : ` · ${figureWords(count)}`;
  return `Chosen: ${itemWords(items)}${figures}`;
}

function filesProblem(items: readonly Item[]): string | null {
  if (items.length === 0) return "Choose at least one file or folder.";
  if (items.length > maxItems) return `Choose at most ${maxItems} at once: a folder counts as one.`;
  return null;
}

const page = new AbortController();
const box = document.querySelector<HTMLElement>("[data-restore]");
if (box !== null) new Wizard(box, page.signal).start();

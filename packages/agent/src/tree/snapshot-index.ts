/**
 * What is known of one snapshot's tree, in one SQLite file: folders that were opened (everything is known of them), and,
 * once the whole snapshot was walked, all others. Invariants: a page comes only from a folder of which everything is
 * known; what is in the file can always be read again from the repository, so a file that breaks is thrown away.
 * `ls`, which walks, tells no names that are not UTF-8, no targets of links and no owners by name: a walked folder with
 * such entries is not exact, and is opened when somebody asks for it.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import {
  joinSnapshotPath,
  shownSnapshotPath,
  snapshotPathBytes,
  splitSnapshotPath,
  type TreeEntry,
} from "@restic-manager/protocol";
import type { TreeNode } from "../restic/tree-output.ts";
import type { Pattern } from "./pattern.ts";

const SCHEMA = `
  CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path TEXT UNIQUE, -- a snapshotPath; null while it is being opened, and when it was opened since
    search_path TEXT NOT NULL, -- lower-cased, as shown
    opened INTEGER NOT NULL,
    exact INTEGER NOT NULL
  );
  CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    folder INTEGER NOT NULL,
    place INTEGER NOT NULL, -- 0 for folders, which come first
    search_name TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER, mode INTEGER, uid INTEGER, gid INTEGER, modified_at INTEGER, target TEXT, subtree TEXT
  );
  CREATE INDEX nodes_by_folder ON nodes (folder, place, search_name);
  CREATE TABLE owners (kind TEXT, id INTEGER, name TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
  CREATE TABLE walks (entries INTEGER NOT NULL, skipped INTEGER NOT NULL);
`;

const UNKNOWN = "\ufffd";
/** Rows of which a search takes its candidates at once: some ten milliseconds. */
const SEARCH_ROWS = 25_000;

/** Folders that are counted at once. */
const COUNT_FOLDERS = 100;

export type Page = { entries: TreeEntry[]; more: boolean };
export type Match = TreeEntry & { folder: string };
export type Matches = { matches: Match[]; more: boolean };
/** Of a selection; everything that is no folder is a file here. */
export type Counts = { files: number; folders: number; sizeBytes: number };
type KindCount = { kind: TreeEntry["kind"]; entries: number; bytes: number | null };
/** A walk that is done; `skipped` folders could not be taken in. */
export type Walk = { entries: number; skipped: number };

type NodeRow = {
  name: string;
  kind: TreeEntry["kind"];
  size: number | null;
  mode: number | null;
  uid: number | null;
  gid: number | null;
  modified_at: number | null;
  target: string | null;
};

export class SnapshotIndex {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #users = new Map<number, string>();
  readonly #groups = new Map<number, string>();
  #walk: Walk | undefined;
  #entries: number;

  /** @param file a path, or `:memory:`. @throws what SQLite throws when it is none of ours, or there is no room */
  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    // Lost in a power cut: then it is read again. While it grows, a rollback needs no file of its own.
    this.#db.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY");
    if (this.#all("SELECT 1 FROM sqlite_schema").length === 0) this.#db.exec(SCHEMA);
    this.#walk = this.#all<Walk>("SELECT entries, skipped FROM walks")[0];
    this.#entries = this.#walk?.entries ?? 0;
    const owners = this.#all<{ kind: "u" | "g"; id: number; name: string }>(
      "SELECT kind, id, name FROM owners",
    );
    for (const { kind, id, name } of owners) this.#ownersOf(kind).set(id, name);
  }

  /** The walk, when it is done. */
  get walk(): Walk | undefined {
    return this.#walk;
  }

  /** Entries that were walked so far. */
  get entries(): number {
    return this.#entries;
  }

  close(): void {
    this.#db.close();
  }

  /** From the folder after this name; undefined when not everything is known of it. */
  page(path: string, after: string | null, limit: number): Page | undefined {
    const folder = this.#findFolder(path);
    if (folder === undefined) return undefined;
    const before = after === null ? undefined : this.#findNode(folder, after);
    const rows = this.#all<NodeRow>(
      `SELECT name, kind, size, mode, uid, gid, modified_at, target FROM nodes WHERE folder = ?${before === undefined ? "" : " AND (place, search_name, name) > (?, ?, ?)"}
       ORDER BY place, search_name, name LIMIT ?`,
      ...[
        folder,
        ...(before === undefined ? [] : [before.place, before.search_name, before.name]),
        limit + 1,
      ],
    );
    const shown = rows.slice(0, limit);
    if (!shown.every((row) => this.#knowsOwners(row))) return undefined;
    return { entries: shown.map((row) => this.#toEntry(row)), more: rows.length > limit };
  }

  /** The id of a folder's own document in restic, where its parent was opened. */
  subtreeOf(path: string): string | undefined {
    const parts = splitSnapshotPath(path);
    const parent = parts === null ? undefined : this.#findFolder(parts.folder);
    if (parts === null || parent === undefined) return undefined;
    return (
      this.#all<{ subtree: string | null }>(
        "SELECT subtree FROM nodes WHERE folder = ? AND name = ? AND kind = 'folder'",
        ...[parent, parts.name],
      )[0]?.subtree ?? undefined
    );
  }

  /** The folders in an opened one whose names `ls` does not tell. */
  foldersToOpen(path: string): string[] {
    const folder = this.#findFolder(path);
    if (folder === undefined) return [];
    const rows = this.#all<{ name: string }>(
      "SELECT name FROM nodes WHERE folder = ? AND kind = 'folder' ORDER BY place, search_name",
      folder,
    );
    const paths = rows.map(({ name }) => joinSnapshotPath(path, name));
    return paths.filter((child) => shownSnapshotPath(child).includes(UNKNOWN));
  }

  /** Takes in a folder of which everything is told. Until `finish` nothing of it can be seen. */
  openFolder(path: string): FolderWriter {
    const searchPath = shownSnapshotPath(path).toLowerCase();
    const id = this.#run("INSERT INTO folders (search_path, opened, exact) VALUES (?, 1, 1)", searchPath);
    return {
      add: (nodes) =>
        this.#inTransaction(() => {
          for (const node of nodes) {
            this.#learnOwners(node);
            this.#insert(id, node);
          }
        }),
      finish: () =>
        this.#inTransaction(() => {
          this.#run("UPDATE folders SET path = NULL WHERE path = ?", path);
          this.#run("UPDATE folders SET path = ? WHERE id = ?", path, id);
        }),
      discard: () =>
        this.#inTransaction(() => {
          this.#run("DELETE FROM nodes WHERE folder = ?", id);
          this.#run("DELETE FROM folders WHERE id = ?", id);
        }),
    };
  }

  /**
   * The id of a walked folder, also of one that is there from before; undefined when it was opened: it is known better.
   */
  walkFolder(path: string): number | undefined {
    const [known] = this.#all<{ id: number; opened: number }>(
      "SELECT id, opened FROM folders WHERE path = ?",
      path,
    );
    if (known !== undefined) return known.opened === 1 ? undefined : known.id;
    const fields = "INSERT INTO folders (path, search_path, opened, exact) VALUES (?, ?, 0, 1)";
    return this.#run(fields, path, path.toLowerCase());
  }

  /** Counts an entry that was walked, and takes it in unless its folder is known better. */
  walkNode(folder: number | undefined, node: TreeNode): void {
    this.#entries += 1;
    if (folder !== undefined) this.#insert(folder, node);
  }

  markInexact(folder: number): void {
    this.#run("UPDATE folders SET exact = 0 WHERE id = ?", folder);
  }

  finishWalk(skipped: number): void {
    this.#walk = { entries: this.#entries, skipped };
    this.#run("INSERT INTO walks (entries, skipped) VALUES (?, ?)", this.#entries, skipped);
  }

  /** All or nothing of what `work` writes: also of what is counted. */
  batch(work: () => void): void {
    const before = this.#entries;
    try {
      this.#inTransaction(work);
    } catch (error) {
      this.#entries = before;
      throw error;
    }
  }

  /**
   * Entries that match, in the order in which the snapshot was walked, after this one.
   * @param rest is awaited between two steps, so that other work has its turn; what it throws ends the search
   */
  async search(
    pattern: Pattern,
    after: string | null,
    limit: number,
    rest: () => Promise<void>,
  ): Promise<Matches> {
    const last = this.#all<{ id: number | null }>("SELECT max(id) AS id FROM nodes")[0]?.id ?? 0;
    const matches: Match[] = [];
    let from = after === null ? 0 : (this.#findByPath(after)?.id ?? 0);
    while (from < last) {
      await rest();
      const candidates = this.#candidates(pattern.nameContains, from, Math.min(from + SEARCH_ROWS, last));
      for (const [place, row] of candidates.entries()) {
        if (place % 50 === 49) await rest();
        if (!pattern.matches(row.search_name, row.search_path)) continue;
        if (matches.length === limit) return { matches, more: true };
        matches.push({ ...this.#toEntry(row), folder: row.path });
      }
      from += SEARCH_ROWS;
    }
    return { matches, more: false };
  }

  /**
   * What lies at these paths and below them, of which none lies in another.
   * @param rest as for `search`
   * @returns the first path that is not there instead of figures
   */
  async count(paths: readonly string[], rest: () => Promise<void>): Promise<Counts | { missing: string }> {
    const counts = { files: 0, folders: 0, sizeBytes: 0 };
    const add = ({ kind, entries, bytes }: KindCount) => {
      if (kind === "folder") counts.folders += entries;
      else counts.files += entries;
      counts.sizeBytes += bytes ?? 0;
    };
    for (const path of paths) {
      await rest();
      const node = path === "/" ? undefined : this.#findByPath(path);
      if (node === undefined && path !== "/") return { missing: path };
      if (node !== undefined) add({ kind: node.kind, entries: 1, bytes: node.size });
      if (node === undefined || node.kind === "folder") await this.#countBelow(path, rest, add);
    }
    return counts;
  }

  async #countBelow(
    path: string,
    rest: () => Promise<void>,
    add: (counted: KindCount) => void,
  ): Promise<void> {
    const ids = this.#foldersFrom(path);
    for (let at = 0; at < ids.length; at += COUNT_FOLDERS) {
      await rest();
      const counted = this.#all<KindCount>(
        `SELECT kind, count(*) AS entries, sum(CASE kind WHEN 'folder' THEN 0 ELSE size END) AS bytes FROM nodes
         WHERE folder IN (SELECT value FROM json_each(?)) GROUP BY kind`,
        JSON.stringify(ids.slice(at, at + COUNT_FOLDERS)),
      );
      for (const one of counted) add(one);
    }
  }

  /** The ids of a folder and of all below it. A path that is not UTF-8 is spelt otherwise, and looked at by its bytes. */
  #foldersFrom(path: string): number[] {
    type Folder = { id: number; path: string };
    const folder = Buffer.concat([snapshotPathBytes(path === "/" ? "" : path), Buffer.from("/")]);
    const spelt = this.#all<Folder>(
      "SELECT id, path FROM folders WHERE path >= 'base64:' AND path < 'base64;'",
    );
    const below = spelt.filter(
      (other) =>
        other.path === path || snapshotPathBytes(other.path).subarray(0, folder.length).equals(folder),
    );
    // The slash is followed by the digit 0.
    const plain = this.#all<Folder>(
      "SELECT id, path FROM folders WHERE path = ? OR (path >= ? AND path < ?)",
      ...[path, `${path === "/" ? "" : path}/`, `${path === "/" ? "" : path}0`],
    );
    return [...new Set([...below, ...plain].map(({ id }) => id))];
  }

  #candidates(contains: string, from: number, to: number) {
    type Candidate = NodeRow & { search_name: string; search_path: string; path: string };
    const glob = contains === "" ? "" : "AND nodes.search_name GLOB ?";
    return this.#all<Candidate>(
      `SELECT name, kind, size, mode, uid, gid, modified_at, target, search_name, path, search_path FROM nodes CROSS JOIN folders ON folders.id = nodes.folder
       WHERE nodes.id > ? AND nodes.id <= ? ${glob} AND folders.path IS NOT NULL ORDER BY nodes.id`,
      ...[from, to, ...(contains === "" ? [] : [`*${contains.replace(/[*?[]/g, "[$&]")}*`])],
    );
  }

  #findByPath(path: string) {
    const parts = splitSnapshotPath(path);
    if (parts === null) return undefined;
    return this.#all<{ id: number; kind: TreeEntry["kind"]; size: number | null }>(
      "SELECT nodes.id, kind, size FROM nodes JOIN folders ON folders.id = nodes.folder WHERE folders.path = ? AND nodes.name = ?",
      ...[parts.folder, parts.name],
    )[0];
  }

  #findFolder(path: string): number | undefined {
    const [row] = this.#all<{ id: number; opened: number; exact: number }>(
      "SELECT id, opened, exact FROM folders WHERE path = ?",
      path,
    );
    const known = row !== undefined && (row.opened === 1 || (this.#walk !== undefined && row.exact === 1));
    return known ? row.id : undefined;
  }

  #findNode(folder: number, name: string) {
    const searchName = shownSnapshotPath(name).toLowerCase();
    return this.#all<{ place: number; search_name: string; name: string }>(
      "SELECT place, search_name, name FROM nodes WHERE folder = ? AND place IN (0, 1) AND search_name = ? AND name = ?",
      ...[folder, searchName, name],
    )[0];
  }

  #insert(folder: number, node: TreeNode): void {
    this.#run(
      `INSERT INTO nodes (folder, place, search_name, name, kind, size, mode, uid, gid, modified_at, target, subtree)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[
        folder,
        node.kind === "folder" ? 0 : 1,
        shownSnapshotPath(node.name).toLowerCase(),
        node.name,
        node.kind,
      ],
      ...[node.sizeBytes, node.mode, node.uid, node.gid, node.modifiedAtMs, node.target, node.subtree],
    );
  }

  #ownersOf(kind: "u" | "g"): Map<number, string> {
    return kind === "u" ? this.#users : this.#groups;
  }

  #learnOwners({ uid, gid, user, group }: TreeNode): void {
    this.#learn("u", uid, user);
    this.#learn("g", gid, group);
  }

  #learn(kind: "u" | "g", id: number | null, name: string | undefined): void {
    if (id === null || name === undefined || this.#ownersOf(kind).has(id)) return;
    this.#ownersOf(kind).set(id, name);
    this.#run("INSERT OR REPLACE INTO owners (kind, id, name) VALUES (?, ?, ?)", kind, id, name);
  }

  #knowsOwners({ uid, gid }: NodeRow): boolean {
    return (uid === null || this.#users.has(uid)) && (gid === null || this.#groups.has(gid));
  }

  #toEntry(row: NodeRow): TreeEntry {
    const { name, kind, size, mode, uid, gid, modified_at, target } = row;
    return {
      name,
      kind,
      size_bytes: size,
      mode,
      uid,
      gid,
      // A name that the snapshot does not have is empty there.
      user: (uid !== null && this.#users.get(uid)) || null,
      group: (gid !== null && this.#groups.get(gid)) || null,
      modified_at: modified_at === null ? null : new Date(modified_at).toISOString(),
      target,
    };
  }

  #inTransaction(work: () => void): void {
    this.#db.exec("BEGIN");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (error) {
      // A full disk may have rolled it back already.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** @returns the id of the last row that was inserted */
  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid);
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }
}

export type FolderWriter = {
  add(nodes: readonly TreeNode[]): void;
  finish(): void;
  discard(): void;
};

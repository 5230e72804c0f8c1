/**
 * A network namespace for one replica, with two lines out of it: one for its clients and one to its database. Pulling
 * the second is a real partition: packets get lost, nobody is refused, and the replica goes on running with all its
 * agents. Linux with root and iproute2.
 */
import { execFile } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { promisify } from "node:util";

const run = promisify(execFile);

/** One end is the machine's, the other the namespace's. */
interface Line {
  name: string;
  outside: string;
  inside: string;
}

export class Namespace {
  readonly name: string;
  readonly clients: Line;
  readonly database: Line;

  private constructor(name: string, block: number) {
    const line = (letter: string, place: number): Line => ({
      name: `${name}${letter}`,
      outside: `10.213.${block}.${place + 1}`,
      inside: `10.213.${block}.${place + 2}`,
    });
    this.name = name;
    this.clients = line("c", 0);
    this.database = line("d", 4);
  }

  /** @throws Error with a sentence where nobody may make one: these tests must not be skipped in silence */
  static async create(): Promise<Namespace> {
    const namespace = new Namespace(`rm${randomBytes(4).toString("hex")}`, randomInt(256));
    try {
      await run("ip", ["netns", "add", namespace.name]);
      for (const line of [namespace.clients, namespace.database]) await namespace.lay(line);
    } catch (cause) {
      await namespace.remove().catch(() => undefined);
      throw new Error(
        "A partition can't be tried here: a network namespace needs root, the right to make one and `ip` (iproute2). Run the tests as root, in a container with --cap-add NET_ADMIN --cap-add SYS_ADMIN.",
        { cause },
      );
    }
    return namespace;
  }

  private async lay({ name, outside, inside }: Line): Promise<void> {
    const peer = `${name}p`;
    await run("ip", ["link", "add", name, "type", "veth", "peer", "name", peer, "netns", this.name]);
    await run("ip", ["address", "add", `${outside}/30`, "dev", name]);
    await run("ip", ["link", "set", name, "up"]);
    await run("ip", ["-n", this.name, "address", "add", `${inside}/30`, "dev", peer]);
    await run("ip", ["-n", this.name, "link", "set", peer, "up"]);
  }

  /** From now on nothing gets from the replica to its database, or back. */
  async pullDatabase(): Promise<void> {
    await run("ip", ["link", "set", this.database.name, "down"]);
  }

  async plugDatabase(): Promise<void> {
    await run("ip", ["link", "set", this.database.name, "up"]);
  }

  /** With it go its lines. What runs in it must have ended. */
  async remove(): Promise<void> {
    await run("ip", ["netns", "delete", this.name]);
  }
}

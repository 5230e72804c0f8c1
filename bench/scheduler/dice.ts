/** Seeded chance: the same seed gives the same year, on every machine. */
export class Dice {
  private state: number;

  constructor(...seeds: number[]) {
    this.state = 0x9e3779b9;
    for (const seed of seeds) {
      this.state = (this.state ^ seed) >>> 0;
      for (let i = 0; i < 4; i++) this.roll();
    }
  }

  /** From 0 up to, and without, 1: mulberry32 by Tommy Ettinger, public domain. */
  roll(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.roll() * (to - from + 1));
  }

  chance(share: number): boolean {
    return this.roll() < share;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[Math.floor(this.roll() * from.length)] ?? from[0];
  }

  /** Short far more often than long: the logarithm is even. */
  spread(from: number, to: number): number {
    return Math.round(from * (to / from) ** this.roll());
  }
}

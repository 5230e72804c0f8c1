/**
 * Where rows of different heights lie in a long list: offsets are sums, computed only as far as they are
 * asked for. Pure; pixels in, pixels out.
 */

/** Heights of rows and the sums of those before them. */
export class RowHeights {
  private heights: number[] = [];
  /** offsets[i] is the top of row i; valid below `validCount`. */
  private offsets: number[] = [0];
  private validCount = 1;

  get count(): number {
    return this.heights.length;
  }

  /** The height of all rows together. */
  get total(): number {
    return this.topOf(this.heights.length);
  }

  /** Forgets every row. */
  clear(): void {
    this.heights = [];
    this.offsets = [0];
    this.validCount = 1;
  }

  /** Adds a row below the others. */
  push(height: number): void {
    this.heights.push(height);
  }

  /** Corrects the height of a row; true when it was another. */
  correct(index: number, height: number): boolean {
    if (index >= this.heights.length || this.heights[index] === height) return false;
    this.heights[index] = height;
    this.validCount = Math.min(this.validCount, index + 1);
    return true;
  }

  /** The distance of a row's top from the list's. `index` may be the count: the list's end. */
  topOf(index: number): number {
    const wanted = Math.min(index, this.heights.length);
    while (this.validCount <= wanted) {
      const before = this.validCount - 1;
      this.offsets[this.validCount] = (this.offsets[before] ?? 0) + (this.heights[before] ?? 0);
      this.validCount += 1;
    }
    return this.offsets[wanted] ?? 0;
  }

  /** The row that covers a distance from the top; clamped to the first and the last. */
  indexAt(distance: number): number {
    let low = 0;
    let high = this.heights.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.topOf(middle) <= distance) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, Math.min(low, this.heights.length - 1));
  }
}

// Solved exercises and the last chapter, stored in this browser.

const KEY = 'blankslate.learn'

interface Kept {
  solved: number[]
  last: number
}

function read(): Kept {
  try {
    const kept: Partial<Kept> = JSON.parse(localStorage.getItem(KEY) ?? '{}')
    return { solved: Array.isArray(kept.solved) ? kept.solved : [], last: Number(kept.last) || 1 }
  } catch {
    return { solved: [], last: 1 }
  }
}

class Progress {
  private kept = $state.raw(read())

  get last(): number {
    return this.kept.last
  }

  get count(): number {
    return this.kept.solved.length
  }

  solved(chapter: number): boolean {
    return this.kept.solved.includes(chapter)
  }

  solve(chapter: number): void {
    if (!this.solved(chapter)) this.keep({ ...this.kept, solved: [...this.kept.solved, chapter] })
  }

  visit(chapter: number): void {
    if (this.kept.last !== chapter) this.keep({ ...this.kept, last: chapter })
  }

  private keep(kept: Kept): void {
    this.kept = kept
    try {
      localStorage.setItem(KEY, JSON.stringify(kept))
    } catch {
      // Without storage, only the progress is lost when the page closes.
    }
  }
}

export const progress = new Progress()

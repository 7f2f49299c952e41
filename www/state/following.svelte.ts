// The answer to a question that keeps changing: asked when the user pauses, one at a time, the newest only. Every question of the
// page that follows what is typed or looked at goes through here; `asked` (Look inside) and `asking` (Learn) say when each asks.

import { inOneLine } from '../lib/error'

/** Milliseconds, unless who asks says otherwise. */
const PAUSE = 300

export class Following<Question extends readonly unknown[], Answer> {
  answer = $state.raw<Answer | null>(null)
  problem = $state.raw<string | null>(null)
  /** Whether the answer belongs to an earlier question. */
  stale = $state.raw(false)

  private readonly ask: (...question: Question) => Promise<Answer>
  private readonly pause: number
  private question: Question | null = null
  private waiting: ReturnType<typeof setTimeout> | undefined
  /** Whether the pause is over. */
  private due = false
  private flying = false
  /** Grows when the engine is gone, whose answers then mean nothing. */
  private life = 0

  constructor(ask: (...question: Question) => Promise<Answer>, pause = PAUSE) {
    this.ask = ask
    this.pause = pause
  }

  /** Asks after a pause, unless it was asked already. */
  follow(...question: Question): void {
    const last = this.question
    if (last?.every((part, i) => part === question[i])) return
    this.question = question
    this.stale = true
    clearTimeout(this.waiting)
    // The first question of all needs no pause.
    this.due = false
    const go = (): void => {
      this.due = true
      void this.send()
    }
    this.waiting = setTimeout(go, last ? this.pause : 0)
  }

  /** The engine is gone, and with it what it was asked. */
  forget(): void {
    clearTimeout(this.waiting)
    this.question = null
    this.flying = false
    this.life += 1
  }

  private async send(): Promise<void> {
    const { question, life } = this
    if (this.flying || !this.due || !question) return
    this.due = false
    this.flying = true
    let answer: Answer | null = null
    let problem: string | null = null
    try {
      answer = await this.ask(...question)
    } catch (error) {
      problem = inOneLine(error)
    }
    if (life !== this.life) return
    this.flying = false
    if (question !== this.question) return this.send()
    this.answer = answer
    this.problem = problem
    this.stale = false
  }
}

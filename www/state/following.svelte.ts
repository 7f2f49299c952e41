// Answers to a question that keeps changing: it is asked after a pause, one request at a time, only the newest one. Every question that
// depends on typing or on the current view goes through here; `asked` (Look inside) and `asking` (Learn) decide when each one asks.

import { inOneLine } from '../lib/error'

/** Default pause, in milliseconds. */
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
  /** Whether the pause has ended. */
  private due = false
  private flying = false
  /** Incremented when the engine is gone: its late answers are then ignored. */
  private life = 0

  constructor(ask: (...question: Question) => Promise<Answer>, pause = PAUSE) {
    this.ask = ask
    this.pause = pause
  }

  /** Asks after the pause, unless the question is the same as before. */
  follow(...question: Question): void {
    const last = this.question
    if (last?.every((part, i) => part === question[i])) return
    this.question = question
    this.stale = true
    clearTimeout(this.waiting)
    // The very first question needs no pause.
    this.due = false
    const go = (): void => {
      this.due = true
      void this.send()
    }
    this.waiting = setTimeout(go, last ? this.pause : 0)
  }

  /** Forgets the pending question; call it when the engine is gone. */
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

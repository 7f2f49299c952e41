// The figures of “check this device”: our numbers beside PyTorch's.

import { check } from '../actions'
import { byId, h, text } from '../dom'
import { count, error } from '../format'
import { watch } from '../state'
import type { CheckReport, Comparison, DeviceInfo } from '../types'

/** The worst of those whose name matches; a missing one is worse than any figure. */
function worst(report: CheckReport, pattern: RegExp): Comparison | undefined {
  const rank = ({ error }: Comparison): number => error ?? Infinity
  return report.comparisons.filter(({ name }) => pattern.test(name)).sort((a, b) => rank(b) - rank(a))[0]
}

const ROWS: [string, RegExp][] = [
  ['Logits', /^logits$/],
  ['Loss', /^loss$/],
  ['Worst gradient', /^grad\./],
  ['Worst of ten losses', /^step .* loss$/],
  ['Worst gradient norm', /^step .* grad_norm$/],
]

const passes = ({ tolerance }: CheckReport, value: Comparison | undefined): boolean =>
  value?.error != null && value.error <= tolerance

function table(report: CheckReport): HTMLElement {
  const row = (label: string, value: Comparison | undefined, extra: string): HTMLElement =>
    h(
      'tr',
      {
        class: passes(report, value) ? 'pass' : 'fail',
        'data-name': value?.name ?? label,
        'data-error': value?.error ?? 'missing',
      },
      h('th', { scope: 'row' }, label, ...(extra ? [' ', h('span', { class: 'quiet' }, extra)] : [])),
      h('td', {}, error(value?.error)),
      h('td', { class: 'mark' }, passes(report, value) ? '✓ pass' : '✗ fail'),
    )
  const head = (): HTMLElement =>
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        h('th', { scope: 'col' }, 'Quantity'),
        h('th', { scope: 'col' }, 'Relative error'),
        h('th', { scope: 'col' }, 'Result'),
      ),
    )
  const summary = ROWS.map(([label, pattern]) => {
    const value = worst(report, pattern)
    const gradient = label === 'Worst gradient' ? (value?.name.replace(/^grad\./, '') ?? '') : ''
    return row(label, value, gradient)
  })
  const all = report.comparisons.map((value) => row(value.name, value, ''))
  return h(
    'article',
    {
      'data-testid': `check-${report.golden}`,
      'data-passed': String(report.passed),
      'data-tolerance': report.tolerance,
    },
    h(
      'h3',
      {},
      `${report.golden}: `,
      h('span', { class: report.passed ? 'pass' : 'fail' }, report.passed ? 'passes' : 'fails'),
    ),
    h('table', {}, head(), h('tbody', {}, ...summary)),
    h(
      'details',
      { class: 'more' },
      h('summary', {}, `All ${count(all.length)} figures`),
      h('table', { class: 'all' }, head(), h('tbody', {}, ...all)),
    ),
  )
}

export function checkPanel(): void {
  const result = byId('check-result')
  byId('check').addEventListener('click', () => void check())
  let drawn: CheckReport[] = []
  watch((state) => {
    const { phase, checking, checks, device } = state
    byId<HTMLButtonElement>('check').disabled = checking || !(phase === 'idle' || phase === 'ready')
    text(byId('check-state'), checking ? 'Computing …' : checks.length ? verdict(checks, device) : '')
    if (drawn === checks) return
    drawn = checks
    result.replaceChildren(...checks.map(table))
  })
}

function verdict(checks: CheckReport[], device: DeviceInfo | null): string {
  const where = device ? `${device.name}, ${device.adapter}` : (checks[0]?.device ?? '')
  const right = checks.every(({ passed }) => passed)
  return right ? `Every figure within ${error(checks[0]?.tolerance)} on ${where}` : `Some figures are off on ${where}`
}

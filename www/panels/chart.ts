// The curve of losses.

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Curve } from '../curve'
import { byId, show, text } from '../dom'
import { count, loss } from '../format'
import { watch } from '../state'

const HEIGHT = 240
const dark = matchMedia('(prefers-color-scheme: dark)')

const data = ({ steps, train, smooth, val }: Curve): uPlot.AlignedData => [steps, train, smooth, val]

/** Colours come from the style sheet, so that there is one place for them. */
function plot(box: HTMLElement, curve: Curve): uPlot {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string): string => style.getPropertyValue(name).trim()
  const axis: uPlot.Axis = {
    stroke: colour('--quiet'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  const reading = byId('reading')
  return new uPlot(
    {
      width: Math.max(200, box.clientWidth),
      height: HEIGHT,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false } },
      axes: [
        { ...axis, size: 28, values: (_, values) => values.map((step) => (Number.isInteger(step) ? count(step) : '')) },
        { ...axis, size: 40 },
      ],
      series: [
        {},
        { stroke: colour('--train-faint'), width: 1, points: { show: false } },
        { stroke: colour('--train'), width: 2, points: { show: false } },
        { stroke: colour('--val'), width: 2, spanGaps: true, points: { show: true, size: 7, fill: colour('--val') } },
      ],
      hooks: {
        setCursor: [
          ({ cursor: { idx }, data: [steps, train, , val] }) => {
            if (idx == null) return text(reading, '')
            const checked = val?.[idx] == null ? '' : `, validation ${loss(val[idx])}`
            text(reading, `step ${count(steps[idx] ?? 0)}: ${loss(train?.[idx])}${checked}`)
          },
        ],
      },
    },
    data(curve),
    box,
  )
}

export function chart(): void {
  const box = byId('chart')
  let drawn: Curve = { steps: [], train: [], smooth: [], val: [] }
  let shown = plot(box, drawn)
  const again = (): void => {
    shown.destroy()
    shown = plot(box, drawn)
  }
  dark.addEventListener('change', again)
  new ResizeObserver(() => shown.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT })).observe(box)

  watch(({ curve }) => {
    if (curve === drawn) return
    drawn = curve
    shown.setData(data(curve))
    show(byId('chart-empty'), curve.steps.length === 0)
    box.parentElement?.classList.toggle('empty', curve.steps.length === 0)
    describe(box, curve)
  })
}

/** The chart in words, for those who do not see it. */
function describe(box: HTMLElement, { steps, smooth, val }: Curve): void {
  const last = steps.length - 1
  const checked = val.findLast((value) => value !== null)
  box.setAttribute(
    'aria-label',
    last < 0
      ? 'No losses yet'
      : `Training loss from ${loss(smooth[0])} at step ${steps[0]} to ${loss(smooth[last])} at step ${steps[last]}` +
          (checked == null ? '' : `, validation loss ${loss(checked)}`),
  )
}

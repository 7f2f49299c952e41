// One knob on the page: label, unit, tooltip, input, reset.

import { h, show } from './dom'
import type { Knob } from './knobs'

export interface Control {
  row: HTMLElement
  draw(value: unknown, base: unknown, applies: boolean): void
}

type Shape = Omit<Knob, 'group'>

const asText = (value: unknown): string => (value == null ? '' : String(value))

/** What the input says, or `undefined` when it says nothing usable. */
function read(knob: Shape, input: HTMLInputElement | HTMLSelectElement): unknown {
  if (knob.kind === 'choice') return input.value
  if (knob.kind === 'flag') return (input as HTMLInputElement).checked
  if (input.value.trim() === '') return knob.kind === 'optional' ? null : undefined
  const number = Number(input.value)
  if (!Number.isFinite(number)) return undefined
  return knob.kind === 'whole' && !Number.isSafeInteger(number) ? undefined : number
}

function input(knob: Shape, id: string): HTMLInputElement | HTMLSelectElement {
  const shared = { id, 'data-testid': id, 'aria-describedby': `${id}-tip` }
  if (knob.kind === 'choice') {
    return h('select', shared, ...(knob.choices ?? []).map(([value, label]) => h('option', { value }, label)))
  }
  if (knob.kind === 'flag') return h('input', { ...shared, type: 'checkbox' })
  return h('input', {
    ...shared,
    type: 'number',
    inputmode: knob.kind === 'whole' ? 'numeric' : 'decimal',
    min: knob.min,
    max: knob.max,
    step: knob.step ?? (knob.kind === 'whole' ? 1 : 'any'),
    placeholder: knob.kind === 'optional' ? 'off' : undefined,
    autocomplete: 'off',
  })
}

export function control(knob: Shape, id: string, change: (value: unknown) => void): Control {
  const field = input(knob, id)
  const label = h('label', { for: id }, knob.label)
  if (knob.unit) label.append(' ', h('span', { class: 'unit' }, knob.unit))
  const reset = h('button', { type: 'button', class: 'reset keep', hidden: true }, '↺')
  const tip = h('p', { id: `${id}-tip`, class: 'tip', role: 'tooltip' }, knob.tip)
  const row = h('div', { class: 'knob', 'data-tip': true }, label, field, reset, tip)

  let base: unknown
  const take = (): void => {
    const value = read(knob, field)
    field.setAttribute('aria-invalid', String(value === undefined))
    if (value !== undefined) change(value)
  }
  field.addEventListener(knob.kind === 'choice' || knob.kind === 'flag' ? 'change' : 'input', take)
  reset.addEventListener('click', () => {
    change(base)
    field.focus()
  })

  return {
    row,
    draw(value, newBase, applies) {
      base = newBase
      if (knob.kind === 'flag') (field as HTMLInputElement).checked = value === true
      else if (!(field === document.activeElement && read(knob, field) === value)) {
        // While something unusable is being typed, the field keeps it.
        const typing = field === document.activeElement && read(knob, field) === undefined
        if (!typing && field.value !== asText(value)) {
          field.value = asText(value)
          field.setAttribute('aria-invalid', 'false')
        }
      }
      field.disabled = !applies
      row.classList.toggle('idle', !applies)
      show(reset, value !== base && applies)
      const meaning = `Reset ${knob.label} to ${asText(base) || 'off'}`
      if (reset.title !== meaning) {
        reset.title = meaning
        reset.setAttribute('aria-label', meaning)
      }
    },
  }
}

/** Where tooltips go: beside the row, inside the window. Escape puts them away. */
export function placeTips(root: Document): void {
  let open: HTMLElement | null = null
  const close = (): void => {
    open?.classList.remove('tipped')
    open = null
  }
  const reveal = (event: Event): void => {
    const row = (event.target as Element).closest?.<HTMLElement>('[data-tip]')
    if (row === open) return
    close()
    const tip = row?.querySelector<HTMLElement>('.tip')
    if (!row || !tip) return
    open = row
    row.classList.add('tipped')
    const box = row.getBoundingClientRect()
    const height = tip.offsetHeight
    const above = box.bottom + height + 8 > innerHeight
    tip.style.top = `${above ? box.top - height - 4 : box.bottom + 4}px`
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`
  }
  root.addEventListener('pointerover', reveal)
  root.addEventListener('focusin', reveal)
  root.addEventListener('keydown', (event) => event.key === 'Escape' && close())
  addEventListener('scroll', close, { passive: true, capture: true })
}

// Which device computes, and what to do when it is not the graphics card.

import { start } from '../session'
import { byId, show, text } from '../dom'
import { gpuProblemText } from '../gpu'
import { type State, busy, watch } from '../state'

const CHOICE = 'blankslate.device'

export const lastChoice = (): string => {
  const choice = localStorage.getItem(CHOICE) ?? 'auto'
  return ['auto', 'webgpu', 'cpu'].includes(choice) ? choice : 'auto'
}

export function devicePanel(): void {
  const select = byId<HTMLSelectElement>('device')
  select.addEventListener('change', () => {
    localStorage.setItem(CHOICE, select.value)
    void start(select.value)
  })
  watch((state) => {
    select.value = state.requested
    select.disabled = busy(state)
    text(byId('device-name'), named(state))
    text(byId('device-reason'), state.device?.reason ?? '')
    const reason = bannerText(state)
    show(byId('banner'), reason !== null)
    if (reason !== null) text(byId('banner-text'), reason)
  })
}

const NAMES: Record<string, string> = { cpu: 'CPU', webgpu: 'WebGPU', wgpu: 'WebGPU' }

function named({ device, phase }: State): string {
  if (!device) return phase === 'broken' ? 'Not available' : 'Starting …'
  const software = device.software ? ' (software, not a graphics card)' : ''
  const adapter = device.adapter && device.adapter !== device.name ? ` · ${device.adapter}` : ''
  return `${NAMES[device.name] ?? device.name}${adapter}${software}`
}

/** Said only where the graphics card could have been expected. */
function bannerText({ gpuProblem, requested }: State): string | null {
  if (requested === 'cpu') return null
  return gpuProblem ? `${gpuProblemText[gpuProblem]} Training runs on the CPU, which works but is slower.` : null
}

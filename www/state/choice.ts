// What was chosen last, remembered across visits: the device, and how much is shown.

const KEY = 'blankslate.device'
const MODE = 'blankslate.mode'

export const rememberDevice = (device: string): void => localStorage.setItem(KEY, device)

export const lastDevice = (): string => {
  const choice = localStorage.getItem(KEY) ?? 'auto'
  return ['auto', 'webgpu', 'cpu'].includes(choice) ? choice : 'auto'
}

export const rememberMode = (expert: boolean): void => localStorage.setItem(MODE, expert ? 'expert' : 'simple')

/** Simple, unless the visitor has asked for all. */
export const lastMode = (): boolean => localStorage.getItem(MODE) === 'expert'

// Choices remembered across visits: the device, and whether all settings are shown.

const KEY = 'blankslate.device'
const MODE = 'blankslate.mode'

export const rememberDevice = (device: string): void => localStorage.setItem(KEY, device)

export const lastDevice = (): string => {
  const choice = localStorage.getItem(KEY) ?? 'auto'
  return ['auto', 'webgpu', 'cpu'].includes(choice) ? choice : 'auto'
}

export const rememberMode = (expert: boolean): void => localStorage.setItem(MODE, expert ? 'expert' : 'simple')

/** Whether “Expert” is on; off by default. */
export const lastMode = (): boolean => localStorage.getItem(MODE) === 'expert'

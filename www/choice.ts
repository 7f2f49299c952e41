// The device chosen last, remembered across visits.

const KEY = 'blankslate.device'

export const rememberDevice = (device: string): void => localStorage.setItem(KEY, device)

export const lastDevice = (): string => {
  const choice = localStorage.getItem(KEY) ?? 'auto'
  return ['auto', 'webgpu', 'cpu'].includes(choice) ? choice : 'auto'
}

// The current view is part of the URL: #/write.

import { VIEWS, type View, page } from './state.svelte'

export const TITLES: Record<View, string> = {
  train: 'Train',
  write: 'Write',
  chat: 'Chat',
  inside: 'Look inside',
  tokens: 'Tokens',
  runs: 'Runs',
  learn: 'Learn',
  device: 'Device',
}

const named = (): View => VIEWS.find((view) => location.hash.startsWith(`#/${view}`)) ?? 'train'

export function followAddress(): void {
  page.view = named()
  addEventListener('hashchange', () => {
    page.view = named()
    page.error = page.notice = null
  })
}

// Where runs are saved if the browser keeps no files for the page, and until when: said once.

import { set } from './state.svelte'
import type { Place } from '../engine/wire'

const KEPT: Record<Place, string> = {
  database:
    'This browser gives the page a database instead of files: runs are kept in it, but those of a private window only until it is closed. Download what you want to keep.',
  page: 'This browser keeps nothing for this page, as in some private windows: runs are gone when the tab is closed or reloaded. Download what you want to keep.',
}
let told = false

export function tellPlace(place: Place): void {
  if (!told) set({ notice: KEPT[place] })
  told = true
}

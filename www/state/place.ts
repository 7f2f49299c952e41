// A notice, shown once, if the browser provides no files and runs are stored elsewhere.

import { set } from './state.svelte'
import type { Place } from '../engine/wire'

const KEPT: Record<Place, string> = {
  database:
    'This browser stores runs in a database instead of files. In a private window they are deleted when you close it. Download the runs you want to keep.',
  page: 'This browser does not store anything for this page, as in some private windows. Runs are lost when you close or reload the tab. Download the runs you want to keep.',
}
let told = false

export function tellPlace(place: Place): void {
  if (!told) set({ notice: KEPT[place] })
  told = true
}

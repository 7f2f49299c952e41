// The page: its components, then the engine.

import { mount } from 'svelte'
import App from './App.svelte'
import { lastDevice } from './state/choice'
import { turn } from './state/look'
import { followAddress } from './state/route'
import { chooseEmbedded, start } from './state/session'
import { page } from './state/state.svelte'
import './style.css'
import { placeTips } from './lib/tips'

followAddress()
page.requested = lastDevice()
await turn()
mount(App, { target: document.body })
placeTips(document)

// Painted first: the engine and the text are forty times the page, and would hold it up on a slow line.
requestAnimationFrame(() =>
  setTimeout(() => {
    void chooseEmbedded()
    void start(page.requested)
  }),
)

// Entry point: mounts the page, then starts the engine.

import { mount } from 'svelte'
import App from './App.svelte'
import { lastDevice } from './state/choice'
import { turn } from './state/look'
import { followAddress } from './state/route'
import { chooseEmbedded, send, start } from './state/session'
import { page } from './state/state.svelte'
import { hearOthers } from './state/tabs'
import './style.css'
import { placeTips } from './lib/tips'

followAddress()
page.requested = lastDevice()
await turn()
mount(App, { target: document.body })
placeTips(document)

// Paint first: the engine and the text are forty times as large as the page and would delay it on a slow connection.
requestAnimationFrame(() =>
  setTimeout(() => {
    void chooseEmbedded()
    void start(page.requested)
    hearOthers(() => send({ type: 'runs' }))
  }),
)

// The page: its components, then the engine.

import { mount } from 'svelte'
import App from './App.svelte'
import { lastDevice } from './choice'
import { turn } from './look'
import { followAddress } from './route'
import { chooseEmbedded, start } from './session'
import { page } from './state.svelte'
import './style.css'
import { placeTips } from './tips'

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

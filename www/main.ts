// The page: its components, then the engine.

import { mount } from 'svelte'
import App from './App.svelte'
import { lastDevice } from './choice'
import { followAddress } from './route'
import { start } from './session'
import { chooseText } from './source'
import './style.css'
import { placeTips } from './tips'

followAddress()
mount(App, { target: document.body })
placeTips(document)

void chooseText('embedded')
void start(lastDevice())

// All views except Train, bundled in one file that is loaded when the first of them is opened.

export { default as chat } from './Chat.svelte'
export { default as device } from './Device.svelte'
export { default as inside } from './Inside.svelte'
export { default as learn } from './Learn.svelte'
export { default as runs } from './Runs.svelte'
export { default as tokens } from './Tokens.svelte'
export { default as write } from './Write.svelte'

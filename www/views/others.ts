// The views that are not looked at first, in one file.

export { default as chat } from './Chat.svelte'
export { default as device } from './Device.svelte'
export { default as inside } from './Inside.svelte'
export { default as learn } from './Learn.svelte'
export { default as runs } from './Runs.svelte'
export { default as tokens } from './Tokens.svelte'
export { default as write } from './Write.svelte'

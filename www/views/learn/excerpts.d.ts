// What an import that `excerpt.plugin.ts` answers gives.
declare module '*&excerpt' {
  const excerpt: import('./excerpt').Excerpt
  export default excerpt
}

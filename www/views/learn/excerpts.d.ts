// The module type of imports handled by `excerpt.plugin.ts`.
declare module '*&excerpt' {
  const excerpt: import('./excerpt').Excerpt
  export default excerpt
}

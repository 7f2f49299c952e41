// Whether the dark colour scheme is active. Canvases must be redrawn when it changes.

const query = matchMedia('(prefers-color-scheme: dark)')
let dark = $state(query.matches)
query.addEventListener('change', () => (dark = query.matches))

export const scheme = {
  get dark(): boolean {
    return dark
  },
}

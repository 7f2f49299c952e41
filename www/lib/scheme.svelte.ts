// Whether the page is dark: pictures on canvases have to be drawn again when that changes.

const query = matchMedia('(prefers-color-scheme: dark)')
let dark = $state(query.matches)
query.addEventListener('change', () => (dark = query.matches))

export const scheme = {
  get dark(): boolean {
    return dark
  },
}

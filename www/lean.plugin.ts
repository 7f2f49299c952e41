// Leaves out of the bundle what this page has no use for.

import type { Plugin } from 'vite'

/**
 * Nothing is rendered on a server, so Svelte never hydrates. Svelte leaves it to the bundler to see that, and to leave out
 * what it makes superfluous; Rolldown does not see it.
 */
export const leaveOutHydration = (): Plugin => ({
  name: 'leave-out-hydration',
  apply: 'build',
  transform: {
    filter: { id: /svelte\/src\/internal\/client\/dom\/hydration\.js$/ },
    handler(source) {
      const [variable, assignment] = ['let hydrating = false', '\thydrating = value']
      if (!source.includes(variable) || !source.includes(assignment)) this.error('Svelte has changed how it hydrates')
      return { code: source.replace(variable, 'const hydrating = false').replace(assignment, ''), map: null }
    },
  },
})

/** Vite would load what a lazy file needs ahead of it. Here all of that is there already. */
export const leaveOutPreloading = (): Plugin => ({
  name: 'leave-out-preloading',
  apply: 'build',
  enforce: 'pre',
  load: { filter: { id: /vite\/preload-helper\.js$/ }, handler: () => 'export const __vitePreload = (load) => load()' },
})

const owners = new Map<string, string>()

/** The class that keeps a component's styles to itself: three characters of a hash, as it stands in every rule, not six. */
export function shortScope({ hash, filename }: { hash: (text: string) => string; filename: string }): string {
  const name = `s${hash(filename).slice(0, 3)}`
  const owner = owners.get(name) ?? filename
  owners.set(name, owner)
  if (owner !== filename)
    throw new Error(`${filename} and ${owner} would share their styles: let the class have four characters`)
  return name
}

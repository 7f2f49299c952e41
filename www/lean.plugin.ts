// Removes unused code from the bundle, which must stay below 150 kB (scripts and styles with brotli). Measured on 2026-11-28: the page
// has 149.8 kB with both plugins, 151.4 kB without the first, 150.4 kB without the second. There is no supported option for either:
// Svelte removed `compilerOptions.hydratable`, and `build.modulePreload: false` keeps Vite's helper.

import type { Plugin } from 'vite'

/**
 * Makes Svelte's `hydrating` flag a constant. The page is not rendered on a server, so Svelte never hydrates. Svelte relies on the
 * bundler to notice this and to remove the code for it; Rolldown does not. Fails the build if Svelte changes the patched lines.
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

/** Replaces Vite's helper that preloads the dependencies of lazy chunks: here they are already loaded. */
export const leaveOutPreloading = (): Plugin => ({
  name: 'leave-out-preloading',
  apply: 'build',
  enforce: 'pre',
  load: { filter: { id: /vite\/preload-helper\.js$/ }, handler: () => 'export const __vitePreload = (load) => load()' },
})

const owners = new Map<string, string>()

/** Scope class of a component's styles. It is part of every rule, so it has three characters of a hash instead of six. */
export function shortScope({ hash, filename }: { hash: (text: string) => string; filename: string }): string {
  const name = `s${hash(filename).slice(0, 3)}`
  const owner = owners.get(name) ?? filename
  owners.set(name, owner)
  if (owner !== filename)
    throw new Error(`${filename} and ${owner} would share their scope class: use four characters of the hash`)
  return name
}

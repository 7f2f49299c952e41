// Vite plugin: extracts functions from the Rust sources at build time and emits the sources as assets, so that chapters show the code
// that actually runs.
//
//   import mask from '../../../../src/model/attention.rs?fn=causal_mask&excerpt'
//   import rule from '../../../../src/config/costs.rs?fn=new&from=A+multiply&to=head_flops&excerpt'
//
// `fn` is the function; `at=2` selects the second one of that name. `from` and `to` limit the excerpt to the lines from the first that
// contains `from` to the next that contains `to`, or to the end of the body. A missing function or line stops the build.

import type { Plugin } from 'vite'
import type { Excerpt } from './excerpt'

const REQUEST = /\.rs\?.*&excerpt$/

export function excerpts(): Plugin {
  let root = ''
  return {
    name: 'excerpts-of-rust',
    configResolved: (config) => void (root = config.root),
    transform: {
      filter: { id: REQUEST },
      handler(source, id) {
        const [file = '', query] = id.split('?')
        const path = file.startsWith(root) ? file.slice(root.length + 1) : file
        const excerpt = find(source, path, new URLSearchParams(query))
        // As .txt, because servers have no MIME type for .rs.
        const whole = this.emitFile({ type: 'asset', name: `${path.replaceAll('/', '-')}.txt`, source })
        const code = `export default { ...${JSON.stringify(excerpt)}, whole: import.meta.ROLLUP_FILE_URL_${whole} }`
        return { code, moduleType: 'js', map: null }
      },
    },
  }
}

function find(source: string, path: string, wanted: URLSearchParams): Omit<Excerpt, 'whole'> {
  const name = wanted.get('fn') ?? ''
  const lines = source.split('\n')
  const missing = (what: string): never => {
    throw new Error(`${path} has no ${what}; update the chapter that shows it`)
  }
  const head = new RegExp(`^\\s*(pub(\\([a-z]+\\))? )?(const |async )*fn ${name}\\b`)
  const heads = lines.flatMap((line, i) => (head.test(line) ? [i] : []))
  let first = heads[Number(wanted.get('at') ?? 1) - 1] ?? missing(`function ${name}`)
  // rustfmt puts the closing brace in the column where the function starts.
  const end = `${/^\s*/.exec(lines[first] ?? '')?.[0] ?? ''}}`
  let last = lines.indexOf(end, first)
  if (last < 0) missing(`end of ${name}`)

  const [from, to] = [wanted.get('from'), wanted.get('to')]
  const lineWith = (text: string, start: number): number => {
    const at = lines.findIndex((line, i) => i >= start && line.includes(text))
    return at < 0 || at > last ? missing(`“${text}” in ${name}`) : at
  }
  if (from) {
    first = lineWith(from, first)
    last = to ? lineWith(to, first) : last - 1
  } else while (/^\s*(\/\/\/|#\[)/.test(lines[first - 1] ?? '')) first -= 1
  return { path, name, lines: [first + 1, last + 1] }
}

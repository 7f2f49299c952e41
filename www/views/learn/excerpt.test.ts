import { expect, test } from 'vitest'
import { codeOf } from './excerpt'
import { excerpts } from './excerpt.plugin'

const SOURCE = `impl One {
    /// First.
    #[inline]
    pub fn one(&self) {
        if a {
            b
        }
    }
}

fn one() {
    2
}
`
const WHOLE = `data:text/plain,${encodeURIComponent(SOURCE)}`

/** What the plugin makes of an import with this query. */
function found(query: string) {
  const plugin = excerpts() as unknown as {
    configResolved: (config: { root: string }) => void
    transform: { handler: (this: object, source: string, id: string) => { code: string } }
  }
  plugin.configResolved({ root: '/here' })
  const emitted: object[] = []
  const context = { emitFile: (file: object) => (emitted.push(file), 'ref') }
  const { code } = plugin.transform.handler.call(context, SOURCE, `/here/src/x.rs?${query}&excerpt`)
  expect(emitted).toEqual([{ type: 'asset', name: 'src-x.rs.txt', source: SOURCE }])
  const [, excerpt = ''] =
    /^export default \{ \.\.\.(.*), whole: import\.meta\.ROLLUP_FILE_URL_ref \}$/s.exec(code) ?? []
  return { ...JSON.parse(excerpt), whole: WHOLE }
}

test('an excerpt names its file, its function and its lines', () => {
  expect(found('fn=one')).toEqual({ path: 'src/x.rs', name: 'one', lines: [2, 8], whole: WHOLE })
})

test.each([
  ['fn=one', '/// First.\npub fn one(&self) {\n    if a {\n        b\n    }\n}'],
  ['fn=one&at=2', 'fn one() {\n    2\n}'],
  ['fn=one&from=if+a', 'if a {\n    b\n}'],
  ['fn=one&from=if+a&to=b', 'if a {\n    b'],
])('%s shows %j', async (query, code) => {
  expect(await codeOf(found(query))).toBe(code)
})

test.each(['fn=two', 'fn=on', 'fn=one&at=3', 'fn=one&from=2', 'fn=one&from=if&to=2'])('%s stops the build', (query) => {
  expect(() => found(query)).toThrow(/src\/x\.rs has no .*update the chapter/)
})

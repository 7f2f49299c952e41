// Loads a module of the page that imports nothing but types, for tests without a browser.
import fs from 'node:fs/promises'
import ts from 'typescript'

const inline = (code) => `data:text/javascript,${encodeURIComponent(code)}`

/**
 * @param {string} name the file below www/
 * @param {Record<string, string>} [instead] code for the modules that it imports
 */
export async function source(name, instead = {}) {
  const text = await fs.readFile(new URL(`../../www/${name}`, import.meta.url), 'utf8')
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2024 },
  })
  const code = Object.entries(instead).reduce(
    (all, [module, code]) => all.replaceAll(`'${module}'`, `'${inline(code)}'`),
    outputText,
  )
  return import(inline(code))
}

// Loads a module of the page that imports nothing but types, for tests without a browser.
import fs from 'node:fs/promises'
import ts from 'typescript'

/** @param {string} name the file below www/ */
export async function source(name) {
  const text = await fs.readFile(new URL(`../../www/${name}`, import.meta.url), 'utf8')
  const { outputText } = ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2024 } })
  return import(`data:text/javascript,${encodeURIComponent(outputText)}`)
}

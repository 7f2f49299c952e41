// ESLint for the page and its tests. Prettier formats: rules about layout are off.
import js from '@eslint/js'
import prettier from 'eslint-config-prettier'
import svelte from 'eslint-plugin-svelte'
import { defineConfig, globalIgnores } from 'eslint/config'
import globals from 'globals'
import ts from 'typescript-eslint'

const TYPED = ['**/*.ts', '**/*.svelte']
const RUNES = ['**/*.svelte', '**/*.svelte.ts']

export default defineConfig(
  globalIgnores(['dist/', 'pkg/', 'target/', 'benches/', 'scripts/', 'src/', 'www/types.ts', 'www/settings.ts']),
  js.configs.recommended,
  {
    files: TYPED,
    extends: [ts.configs.strict],
    rules: {
      // The compiler knows every name, those of the worker and of Svelte's runes included.
      'no-undef': 'off',
      // A name that begins with an underscore is a parameter that only makes a value depend on it.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
    },
  },
  // After the above: it brings the parser of *.svelte.
  svelte.configs.recommended,
  {
    files: RUNES,
    languageOptions: { parserOptions: { parser: ts.parser } },
    rules: {
      // Svelte's own rule knows that $props() and $derived() need `let`.
      'prefer-const': 'off',
      'svelte/prefer-const': 'error',
      // {' '} keeps a space that Svelte would trim.
      'svelte/no-useless-mustaches': 'off',
    },
  },
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  prettier,
)

// The Tokens view and the training text.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { go, open, ready } from './harness.mjs'

const PLAIN = 'The king and his unloved brother, undone.'
const ROWS = ['byte', 'char', 'bpe', 'wordpiece']

/** The tokens shown as chips, read from their titles. */
const pieces = (page, id) =>
  page.getByTestId(id).evaluate((row) =>
    [...row.querySelectorAll('.piece')].map((chip) => {
      const [, text, number] = chip.title.match(/^“([\s\S]*)” · token (\d+)$/)
      return { text, id: Number(number), shown: chip.textContent }
    }),
  )
/** The text of tokens; bytes that are not text on their own are written as \xNN. */
const joined = (tokens) => {
  const parts = tokens.flatMap(({ text }) => text.split(/(\\x[89A-F][0-9A-F])/))
  const bytes = parts.map((part) => (/^\\x/.test(part) ? Buffer.from(part.slice(2), 'hex') : Buffer.from(part)))
  return Buffer.concat(bytes).toString('utf8')
}
const figure = async (page, id) => Number((await page.getByTestId(id).innerText()).replaceAll(',', ''))
/** Waits until every row shows the answer for the current input. */
const settled = (page) =>
  page.waitForFunction(() => {
    const parts = [...document.querySelectorAll('.view[data-view="tokens"] [aria-busy]')]
    return parts.length === 5 && parts.every((part) => part.getAttribute('aria-busy') === 'false')
  })
const write = async (page, sentence) => {
  await page.getByTestId('tokens-sentence').fill(sentence)
  await settled(page)
}
/** Selects a stage of BPE training. */
const stage = (page, at) =>
  page.getByTestId('merges-stage').evaluate((slider, at) => {
    slider.value = String(at === 'last' ? slider.max : at)
    slider.dispatchEvent(new Event('input', { bubbles: true }))
  }, at)

describe('the Tokens view', () => {
  let it
  before(async () => {
    it = await open({ webgpu: 'off' })
    await ready(it.page)
    await go(it.page, 'tokens')
    await it.page.getByTestId('tokens-wordpiece-pieces').waitFor()
    await settled(it.page)
  })
  after(() => it?.close())

  test('splits a sentence with an emoji into bytes and BPE tokens, and reports unknown characters', async () => {
    const sentence = await it.page.getByTestId('tokens-sentence').inputValue()
    assert.match(sentence, /\p{Emoji_Presentation}/u)
    assert.match(sentence, /ü/)
    const bytes = await pieces(it.page, 'tokens-byte-pieces')
    assert.equal(bytes.length, Buffer.byteLength(sentence))
    assert.equal(Buffer.from(bytes.map(({ id }) => id)).toString(), sentence)
    assert.equal(joined(bytes), sentence)
    assert.equal(joined(await pieces(it.page, 'tokens-bpe-pieces')), sentence)
    const problem = await it.page.getByTestId('tokens-char-problem').innerText()
    assert.match(problem, /character/)
    assert.ok(!problem.includes('\n'), problem)
    assert.equal(await it.page.getByTestId('tokens-char-count').innerText(), '–')
    await it.page.getByTestId('tokens-char-leave-out').click()
    await it.page.getByTestId('tokens-char-pieces').waitFor()
    const left = await it.page.getByTestId('tokens-sentence').inputValue()
    assert.ok(left.length < sentence.length && left.length > sentence.length - 6, left)
    assert.equal(joined(await pieces(it.page, 'tokens-char-pieces')), left)
  })

  test('shows token ids on request', async () => {
    await write(it.page, 'Aä')
    await it.page.getByTestId('tokens-numbers').check()
    assert.deepEqual(
      (await pieces(it.page, 'tokens-byte-pieces')).map(({ shown }) => shown),
      ['65', '195', '164'],
    )
    await it.page.getByTestId('tokens-numbers').uncheck()
    assert.deepEqual(
      (await pieces(it.page, 'tokens-byte-pieces')).map(({ shown }) => shown),
      ['A', 'C3', 'A4'],
    )
  })

  test('splits a plain sentence with four tokenizers and shows their statistics', async () => {
    await write(it.page, PLAIN)
    const cut = Object.fromEntries(
      await Promise.all(ROWS.map(async (row) => [row, await pieces(it.page, `tokens-${row}-pieces`)])),
    )
    for (const row of ['byte', 'char', 'bpe']) assert.equal(joined(cut[row]), PLAIN, row)
    assert.equal(cut.char.length, PLAIN.length)
    assert.ok(cut.bpe.length < PLAIN.length / 1.5, `${cut.bpe.length} tokens`)
    assert.ok(
      cut.bpe.some(({ shown }) => shown.startsWith('·')),
      'spaces are visible',
    )
    // WordPiece keeps only words: lower case, no spaces, ## marks continuations.
    const glued = cut.wordpiece.map(({ text }) => (text.startsWith('##') ? text.slice(2) : ` ${text}`)).join('')
    assert.equal(glued.replaceAll(' ', ''), PLAIN.toLowerCase().replaceAll(' ', ''))
    assert.ok(glued.startsWith(' the king and his '), glued)

    for (const row of ROWS) {
      assert.equal(await figure(it.page, `tokens-${row}-count`), cut[row].length)
      const vocabulary = await figure(it.page, `tokens-${row}-vocabulary`)
      assert.ok(cut[row].every(({ id }) => id < vocabulary))
      const width = Number(await it.page.getByTestId('setting-hidden_size').inputValue())
      const tied = await it.page.getByTestId('setting-tie_word_embeddings').isChecked()
      assert.equal(await figure(it.page, `tokens-${row}-price`), vocabulary * width * (tied ? 1 : 2))
    }
    assert.equal(await figure(it.page, 'tokens-byte-vocabulary'), 256)
    assert.equal(await figure(it.page, 'tokens-byte-density'), 1)
    assert.equal(await figure(it.page, 'tokens-bpe-vocabulary'), 512)
    assert.ok((await figure(it.page, 'tokens-bpe-density')) > 1.5)
  })

  test('shows BPE training, from bytes to the final tokens', async () => {
    await stage(it.page, 0)
    await it.page.getByTestId('merges-none').waitFor()
    const first = await pieces(it.page, 'merges-pieces')
    assert.equal(first.length, Buffer.byteLength(PLAIN))
    await stage(it.page, 'last')
    const list = it.page.getByTestId('merges-list')
    // 512 tokens: 256 bytes, the end of text, and the merges.
    await list.getByText('255', { exact: true }).waitFor()
    assert.deepEqual(await pieces(it.page, 'merges-pieces'), await pieces(it.page, 'tokens-bpe-pieces'))
    const described = await it.page.getByTestId('merges-curve').getAttribute('aria-label')
    const counts = [...described.matchAll(/([\d,]+) after ([\d,]+) merge/g)].map(([, tokens]) => Number(tokens))
    assert.equal(counts[0], first.length)
    assert.ok(
      counts.every((count, i) => i === 0 || count <= counts[i - 1]),
      described,
    )
  })

  test('plays and stops at the end', async () => {
    await stage(it.page, 0)
    await it.page.getByTestId('merges-play').click()
    await it.page
      .getByTestId('merges-said')
      .filter({ hasText: /^[1-9]/ })
      .waitFor()
    await it.page.getByRole('button', { name: 'Pause' }).click()
    // From the second to last stage, playback reaches the end in one step and stops.
    const last = Number(await it.page.getByTestId('merges-stage').getAttribute('max'))
    await stage(it.page, last - 1)
    await it.page.getByTestId('merges-play').click()
    await it.page.getByTestId('merges-said').filter({ hasText: '255 merges' }).waitFor()
    await it.page.getByRole('button', { name: 'Play', exact: true }).waitFor()
    assert.equal(await it.page.getByTestId('merges-stage').inputValue(), String(last))
  })

  test('trains larger vocabularies on request, and refuses ones that are too small', async () => {
    const before = await figure(it.page, 'tokens-bpe-count')
    // A slider at the end stays at the end.
    await stage(it.page, 'last')
    await it.page.getByTestId('setting-bpe_size').fill('2000')
    await it.page.getByTestId('tokens-bpe-vocabulary').filter({ hasText: '2,000' }).waitFor()
    assert.ok((await figure(it.page, 'tokens-bpe-count')) < before)
    await it.page.getByTestId('merges-said').filter({ hasText: '1,743 merges' }).waitFor()

    await it.page.getByTestId('setting-bpe_size').fill('100')
    await it.page.getByTestId('tokens-bpe-problem').filter({ hasText: '257' }).waitFor()
    await it.page.getByTestId('merges-problem').filter({ hasText: '257' }).waitFor()
    await it.page.getByRole('button', { name: 'Reset Vocabulary' }).first().click()
    await it.page.getByTestId('tokens-bpe-vocabulary').filter({ hasText: '512' }).waitFor()
  })

  test('sets the tokenizer of the next run, and lists the run’s vocabulary', async () => {
    await it.page.getByTestId('vocabulary-none').waitFor()
    await it.page.getByTestId('tokens-bpe-use').click()
    await it.page.getByTestId('tokens-bpe-use').filter({ hasText: 'Chosen' }).waitFor()
    await go(it.page, 'train')
    assert.equal(await it.page.getByTestId('tokenizer').inputValue(), 'bpe')
    assert.equal(await it.page.getByTestId('vocab-size').inputValue(), '512')
    // The size chosen under Train is used here.
    await it.page.getByTestId('vocab-size').fill('600')
    await go(it.page, 'tokens')
    await it.page.getByTestId('tokens-bpe-vocabulary').filter({ hasText: '600' }).waitFor()
    await it.page.getByTestId('tokens-bpe-use').filter({ hasText: 'Chosen' }).waitFor()
    await go(it.page, 'train')
    await it.page.getByTestId('vocab-size').fill('512')
    await it.page.getByTestId('setting-steps').fill('1')
    await it.page.getByTestId('train').click()
    await it.page.getByTestId('stage').filter({ hasText: 'Done' }).waitFor()

    await go(it.page, 'tokens')
    await it.page
      .getByTestId('vocabulary-count')
      .filter({ hasText: /^512 tokens$/ })
      .waitFor()
    const words = () =>
      it.page
        .getByTestId('vocabulary-list')
        .evaluate((list) => [...list.querySelectorAll('.word')].map(({ title }) => title))
    await it.page.getByTestId('vocabulary-order').selectOption('long')
    const lengths = (await words()).map((title) => Number(title.match(/(\d+) bytes?$/)[1]))
    assert.ok(lengths.length > 10 && lengths[0] > 4, `${lengths}`)
    assert.deepEqual(
      lengths,
      [...lengths].sort((a, b) => b - a),
    )
    await it.page.getByTestId('vocabulary-search').fill('the')
    await it.page.getByTestId('vocabulary-count').filter({ hasText: 'of 512 tokens' }).waitFor()
    assert.ok((await words()).length > 0 && (await words()).every((title) => /the/i.test(title)), `${await words()}`)
    await it.page.getByTestId('vocabulary-search').fill('511')
    await it.page.getByTestId('vocabulary-list').getByText('special').waitFor()
    assert.match((await words())[0], /<\|endoftext\|>.* token 511 /)
  })

  test('counts merges correctly', async () => {
    await go(it.page, 'train')
    await it.page.getByTestId('text-source').getByText('Paste').click()
    // Twice in each word: “an” 4 × 50 times; “na” 3 × 50 times.
    await it.page.getByTestId('paste').fill('banana bandana '.repeat(50))
    await it.page.getByTestId('text-size').filter({ hasText: '750 characters' }).waitFor()
    await go(it.page, 'tokens')
    await write(it.page, 'banana')
    await stage(it.page, 1)
    const merge = it.page.getByTestId('merges-list').locator('li')
    assert.equal(await merge.count(), 1)
    assert.match((await merge.innerText()).replace(/\s+/g, ' '), /^1 a \+ n → an 200 times$/)
    assert.deepEqual(
      (await pieces(it.page, 'merges-pieces')).map(({ text }) => text),
      ['b', 'an', 'an', 'a'],
    )
    // A small text is merged completely: one token per word.
    assert.equal(await figure(it.page, 'tokens-char-count'), 6)
  })

  test('answers during training and after a change of device; the run keeps its tokenizer', async () => {
    await go(it.page, 'train')
    await it.page.getByTestId('text-source').getByText('Examples').click()
    await it.page.getByTestId('text-size').filter({ hasText: '1.1 MB' }).waitFor()
    await it.page.getByTestId('setting-steps').fill('4000')
    await it.page.getByTestId('train').click()
    await it.page
      .getByTestId('step-count')
      .filter({ hasText: /^Step [1-9]/ })
      .waitFor()
    await go(it.page, 'tokens')
    await write(it.page, 'unloving')
    assert.equal(joined(await pieces(it.page, 'tokens-bpe-pieces')), 'unloving')
    for (const row of ROWS) assert.equal(await it.page.getByTestId(`tokens-${row}-use`).isDisabled(), true, row)
    await go(it.page, 'train')
    await it.page.getByTestId('stop').click()
    await it.page.getByTestId('stage').filter({ hasText: 'Stopped' }).waitFor()
    await it.page.getByTestId('device').selectOption('cpu')
    // The engine was restarted and has restored the run.
    await it.page.locator('#resume:enabled').waitFor()
    await go(it.page, 'tokens')
    await write(it.page, 'unknown')
    assert.equal(joined(await pieces(it.page, 'tokens-bpe-pieces')), 'unknown')
    await it.page.getByTestId('vocabulary-count').filter({ hasText: '512 tokens' }).waitFor()
  })

  test('has explanations', async () => {
    for (const [question, words] of [
      ['why-token', 'number'],
      ['why-not-words', 'spell'],
      ['why-figures', 'Bytes per token'],
      ['tokens-wordpiece-why', '##'],
    ]) {
      // Scrolling closes tooltips: wait until it is over.
      await it.page.getByTestId(question).scrollIntoViewIfNeeded()
      await it.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
      await it.page.getByTestId(question).hover()
      await it.page.locator('.tipped > .tip', { hasText: words }).waitFor()
    }
  })

  test('fits a phone, without errors', async () => {
    await it.page.setViewportSize({ width: 360, height: 740 })
    const wide = await it.page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= 360, `${wide} pixels wide`)
    assert.deepEqual(it.errors, [])
  })
})

describe('the training text', () => {
  const file = (name, content) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(content) })
  const LINES = 'All is well that ends well.\n'.repeat(40)
  let it
  const size = (text) => it.page.getByTestId('text-size').filter({ hasText: text }).waitFor()
  const address = async (url) => {
    await it.page.getByTestId('address').fill(url)
    await it.page.getByTestId('fetch').click()
  }
  const refused = (text) => it.page.getByTestId('address-problem').filter({ hasText: text }).waitFor()

  before(async () => {
    it = await open({ webgpu: 'off' })
    await ready(it.page)
  })
  after(() => it?.close())

  test('shows the tokens of its first line', async () => {
    await it.page.locator('[data-testid="first-tokens"]:not(.stale)').waitFor()
    const characters = await pieces(it.page, 'first-pieces')
    assert.ok(characters.length > 20 && characters.every(({ text }) => text.length === 1))
    await it.page.getByTestId('tokenizer').selectOption('bpe')
    await it.page.waitForFunction(
      (n) => document.querySelectorAll('[data-testid="first-pieces"] .piece').length < n,
      characters.length,
    )
    assert.equal(joined(await pieces(it.page, 'first-pieces')), joined(characters))
  })

  test('can be several files, in the order of their names', async () => {
    await it.page.getByTestId('text-source').getByText('File').click()
    const json = [{ text: 'A merry tale.' }, { text: 'A sad one.', id: 1 }]
      .map((line) => JSON.stringify(line))
      .join('\n')
    await it.page
      .getByTestId('file')
      .setInputFiles([file('b.txt', LINES), file('a10.jsonl', json), file('a9.md', '# Tales')])
    await size('3 files: 4 texts (JSON: text fields; not used: id): ')
    await it.page
      .getByRole('region', { name: 'Beginning of the text' })
      .filter({
        hasText: /^{"text":"# Tales"}\s+{"text":"A merry tale."}\s+{"text":"A sad one."}\s+{"text":"All is well/,
      })
      .waitFor()
    await it.page
      .getByTestId('text-words')
      .filter({ hasText: /^4 lines/ })
      .waitFor()
    await ready(it.page)
  })

  test('can be the text files of a folder', async () => {
    const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'blankslate-')), 'tales')
    try {
      fs.mkdirSync(path.join(folder, 'more'), { recursive: true })
      fs.writeFileSync(path.join(folder, 'more', 'well.txt'), LINES)
      fs.writeFileSync(path.join(folder, 'first.md'), '# First')
      fs.writeFileSync(path.join(folder, 'picture.png'), Buffer.from([0x89, 0x50, 0xff]))
      await it.page.getByTestId('folder').setInputFiles(folder)
      await size('tales: 1.1 KB, 1,128 characters')
    } finally {
      fs.rmSync(path.dirname(folder), { recursive: true })
    }
  })

  test('can come from a URL, or says why not', async () => {
    await it.context.route('https://texts.example/**', (route) => {
      const name = route.request().url().split('/').at(-1)
      if (name === 'gone.txt') return route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' } })
      if (name === 'shut.txt') return route.abort()
      return route.fulfill({ body: LINES, contentType: 'text/plain', headers: { 'access-control-allow-origin': '*' } })
    })
    await address('tales')
    await refused('https://')
    await address('https://texts.example/gone.txt')
    await refused('status 404')
    await address('https://texts.example/shut.txt')
    await refused('CORS')
    await address('https://texts.example/well.txt')
    await size('well.txt: 1.1 KB, 1,120 characters')
    await refused(/^$/)
  })
})

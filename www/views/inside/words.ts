// A text to begin looking with.

const LENGTH = 28

/** The first words of a text that make a line worth looking at: surely known to the run's own tokenizer. */
export function firstWords(text: string): string {
  const lines = text.slice(0, 4000).split('\n').map((line) => line.trim())
  const line = lines.find(({ length }) => length >= LENGTH) ?? lines.find((one) => one) ?? ''
  if (line.length <= LENGTH) return line
  return line.slice(0, LENGTH + 1).replace(/\s+\S*$/, '').slice(0, LENGTH)
}

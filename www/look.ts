// What can be said of a text at a glance.

export interface Look {
  bytes: number
  characters: number
  /** Different characters, which is the character tokenizer's vocabulary. */
  different: number
  lines: number
  beginning: string
}

let seen: { text: string; look: Look } | null = null

/** Measured once per text: a large one takes a moment. */
export function look(text: string): Look {
  if (seen?.text === text) return seen.look
  const different = new Set<string>()
  let characters = 0
  let lines = text ? 1 : 0
  for (const character of text) {
    characters += 1
    different.add(character)
    if (character === '\n') lines += 1
  }
  const beginning = text
    .slice(0, 2000)
    .trim()
    .replace(/\n\s*\n/g, '\n')
    .slice(0, 280)
  seen = { text, look: { bytes: new Blob([text]).size, characters, different: different.size, lines, beginning } }
  return seen.look
}

/** A file's text, or an error that says how to convert it. */
export async function readText(file: File): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer())
  } catch {
    throw new Error(`${file.name} is not UTF-8 text; open it in an editor and save it as UTF-8`)
  }
}

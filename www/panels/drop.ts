// A file dropped anywhere on the page: a text to learn from, or a model to open.

import { takeFile } from '../actions'
import { byId, show } from '../dom'

export function drop(): void {
  const veil = byId('drop')
  const carriesFile = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false
  addEventListener('dragenter', (event) => carriesFile(event) && show(veil, true))
  addEventListener('dragleave', (event) => event.relatedTarget === null && show(veil, false))
  addEventListener('dragover', (event) => carriesFile(event) && event.preventDefault())
  addEventListener('drop', (event) => {
    show(veil, false)
    const file = event.dataTransfer?.files[0]
    if (!file) return
    event.preventDefault()
    void takeFile(file)
  })
}

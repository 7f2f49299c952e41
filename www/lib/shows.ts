import type { Attachment } from 'svelte/attachments'

/**
 * Shows `text` in a field, but not while the user is in it: “1e” is not a number yet, and what another setting implies may arrive before
 * the first key. What cannot be read stays.
 */
export const shows =
  (text: string): Attachment<HTMLInputElement> =>
  (field) => {
    const show = (): void => {
      if (!field.validity.badInput) field.value = text
    }
    if (field !== document.activeElement) show()
    field.addEventListener('blur', show)
    return () => field.removeEventListener('blur', show)
  }

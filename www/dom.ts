// The little that is needed to build and update elements.

/** The element with this id, which index.html must have. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id)
  if (!element) throw new Error(`index.html has no #${id}`)
  return element as T
}

type Attributes = Record<string, string | number | boolean | undefined>

/** Builds an element. `true` sets an empty attribute; `false` and `undefined` leave it out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children)
  return element
}

/** Sets text only where it differs, so that nothing is laid out, selected or announced anew. */
export function text(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value
}

/** Hides without a layout jump where the style sheet says so (`.keep`), else removes from the layout. */
export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible
}

/** Puts a value into a control unless the user is typing in it. */
export function fill(control: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, value: string): void {
  if (control !== document.activeElement && control.value !== value) control.value = value
}

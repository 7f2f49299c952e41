// Lets a picture be read place by place, with the pointer or the arrow keys.

interface Reading<Place> {
  /** The place at these pixels, measured from the upper left corner. */
  find: (x: number, y: number) => Place | null
  /** The place a key moves to; undefined for other keys. */
  lead: (key: string) => Place | null | undefined
  /** Called with the current place; null on leaving. */
  read: (place: Place | null) => void
  /** Called when the current place is chosen. */
  choose: () => void
}

/** Attributes and event handlers for the element around the picture. */
export const reading = <Place>({ find, lead, read, choose }: Reading<Place>) => {
  const point = (event: PointerEvent | MouseEvent): void => {
    const { left, top } = (event.currentTarget as HTMLElement).getBoundingClientRect()
    read(find(event.clientX - left, event.clientY - top))
  }
  const leave = (): void => read(null)
  return {
    role: 'application' as const,
    tabindex: 0,
    onpointermove: point,
    onpointerleave: leave,
    onblur: leave,
    onclick(event: MouseEvent): void {
      point(event)
      choose()
    },
    onkeydown(event: KeyboardEvent): void {
      if (event.key === 'Enter') choose()
      const place = lead(event.key)
      if (place === undefined) return
      event.preventDefault()
      read(place)
    },
  }
}

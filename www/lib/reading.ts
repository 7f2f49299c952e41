// Reading a picture place by place: by pointing, or with the arrow keys.

interface Reading<Place> {
  /** The place at these pixels from the upper left corner. */
  find: (x: number, y: number) => Place | null
  /** Where a key leads; undefined for keys that lead nowhere. */
  lead: (key: string) => Place | null | undefined
  /** Told which place is read, none when the reader looks away. */
  read: (place: Place | null) => void
  /** Takes the place that is read. */
  choose: () => void
}

/** What the element around a picture needs. */
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

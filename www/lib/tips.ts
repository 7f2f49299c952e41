// Places tooltips beside their element, inside the window. Escape closes them.
//
// <div data-tip> … <p class="tip" role="tooltip">…</p></div>
// <h3 use:explained> … <span class="tip" role="tooltip">…</span></h3>

let tips = 0

/** Makes an element with a tooltip focusable, and connects the two for screen readers. */
export function explained(row: HTMLElement): void {
  const tip = row.querySelector('.tip')
  if (!tip) return
  tips += 1
  tip.id = `tip-${tips}`
  row.setAttribute('data-tip', '')
  row.tabIndex = 0
  row.setAttribute('aria-describedby', tip.id)
}

export function placeTips(root: Document): void {
  let open: HTMLElement | null = null
  const close = (): void => {
    open?.classList.remove('tipped')
    open = null
  }
  const place = (row: HTMLElement): void => {
    const tip = row.querySelector<HTMLElement>('.tip')
    if (!tip) return close()
    open = row
    row.classList.add('tipped')
    const box = row.getBoundingClientRect()
    const height = tip.offsetHeight
    const above = box.bottom + height + 8 > innerHeight
    tip.style.top = `${above ? box.top - height - 4 : box.bottom + 4}px`
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`
  }
  const reveal = (event: Event): void => {
    const row = (event.target as Element).closest?.<HTMLElement>('[data-tip]')
    if (row === open) return
    close()
    if (row) place(row)
  }
  // Scrolling below a resting pointer does not open a tooltip.
  root.addEventListener('pointermove', reveal, { passive: true })
  root.addEventListener('focusin', reveal)
  root.addEventListener('keydown', (event) => event.key === 'Escape' && close())
  // Elements focused with the keyboard are scrolled into view first.
  const scrolled = (): void => (open?.contains(root.activeElement) ? place(open) : close())
  addEventListener('scroll', scrolled, { passive: true, capture: true })
}

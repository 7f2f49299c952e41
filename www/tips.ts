// Where tooltips go: beside what they belong to, inside the window. Escape puts them away.
//
// <div data-tip> … <p class="tip" role="tooltip">…</p></div>

export function placeTips(root: Document): void {
  let open: HTMLElement | null = null
  const close = (): void => {
    open?.classList.remove('tipped')
    open = null
  }
  const reveal = (event: Event): void => {
    const row = (event.target as Element).closest?.<HTMLElement>('[data-tip]')
    if (row === open) return
    close()
    const tip = row?.querySelector<HTMLElement>('.tip')
    if (!row || !tip) return
    open = row
    row.classList.add('tipped')
    const box = row.getBoundingClientRect()
    const height = tip.offsetHeight
    const above = box.bottom + height + 8 > innerHeight
    tip.style.top = `${above ? box.top - height - 4 : box.bottom + 4}px`
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`
  }
  root.addEventListener('pointerover', reveal)
  root.addEventListener('focusin', reveal)
  root.addEventListener('keydown', (event) => event.key === 'Escape' && close())
  addEventListener('scroll', close, { passive: true, capture: true })
}

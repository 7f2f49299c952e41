// Parses numbers as people type them: 5,120 · 5120 · 4,38 · 2.1e6 · 2.1M · 12 %.

const LARGE: Record<string, number> = { k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12, '%': 0.01 }

/** Parses a typed number; `NaN` if it is not a number. */
export function typedNumber(text: string): number {
  const [, digits, unit] = /^([-+]?[\d.,\s'_]*\d[\d.,\s'_]*(?:e[-+]?\d+)?)\s*([kmbgt%]?)$/i.exec(text.trim()) ?? []
  if (digits === undefined) return NaN
  const plain = digits.replace(/[\s'_]/g, '')
  // A comma before exactly three digits is a thousands separator; any other is a decimal point.
  const grouped = /^[-+]?[1-9]\d{0,2}(,\d{3})+(?!\d)/.test(plain)
  return (
    Number(grouped ? plain.replaceAll(',', '') : plain.replace(',', '.')) * (LARGE[(unit ?? '').toLowerCase()] ?? 1)
  )
}

/** Whether two numbers differ by at most this share of the second one. */
export const near = (a: number, b: number, share: number): boolean => Math.abs(a - b) <= Math.abs(b) * share

const RAISED = '⁰¹²³⁴⁵⁶⁷⁸⁹'

/** Formats a number as a power of ten, such as 2.2 × 10¹². */
export function power(n: number): string {
  const [digits = '', exponent = ''] = n.toExponential(1).split('e')
  const raised = [...exponent].map((sign) => (sign === '-' ? '⁻' : (RAISED[Number(sign)] ?? '')))
  return `${digits} × 10${exponent.startsWith('+') ? raised.slice(1).join('') : raised.join('')}`
}

// The GPU device that the engine opens: kept hold of, so that its loss is told at once.

let device: GPUDevice | null = null

/** Calls `tell` with the reason when the device is lost, or has no memory left; must be called before it is opened. */
export function watchDevice(tell: (reason: string) => void): void {
  if (!('GPUAdapter' in self)) return
  const request = GPUAdapter.prototype.requestDevice
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const opened = await request.apply(this, options)
    device = opened
    void opened.lost.then(({ reason, message }) => {
      tell(reason === 'destroyed' ? 'it was destroyed' : message || 'the browser does not say why')
    })
    opened.addEventListener('uncapturederror', ({ error }) => {
      if (error instanceof GPUOutOfMemoryError) tell('it has no memory left')
    })
    return opened
  }
}

/** Between two looks of Firefox, in milliseconds. */
const LOOK_MS = 4

/**
 * Firefox looks every 100 ms whether a reading is there, and whenever work is handed in: a word would take as long. So it is handed
 * empty work while something is waited for.
 */
export function hurryReadings(): void {
  if (!('GPUBuffer' in self) || !navigator.userAgent.includes('Firefox')) return
  let waiting = 0
  let timer = 0
  const arrived = (): void => {
    waiting -= 1
    if (waiting === 0) clearInterval(timer)
  }
  const look = (): void => device?.queue.submit([device.createCommandEncoder().finish()])
  const map = GPUBuffer.prototype.mapAsync
  GPUBuffer.prototype.mapAsync = function (...options) {
    const mapped = map.apply(this, options)
    if (waiting === 0) timer = setInterval(look, LOOK_MS)
    waiting += 1
    mapped.then(arrived, arrived)
    return mapped
  }
}

/** Loses the device on purpose; says whether there was one. */
export function destroyDevice(): boolean {
  device?.destroy()
  return device !== null
}

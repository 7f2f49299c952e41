// Keeps a reference to the GPU device that the engine opens, to report its loss immediately.

let device: GPUDevice | null = null

/** Calls `tell` with the reason when the device is lost, or `full` when it has no memory left. Must be called before the device is opened. */
export function watchDevice(tell: (reason: string) => void, full: () => void): void {
  if (!('GPUAdapter' in self)) return
  const request = GPUAdapter.prototype.requestDevice
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const opened = await request.apply(this, options)
    device = opened
    void opened.lost.then(({ reason, message }) => {
      tell(reason === 'destroyed' ? 'it was destroyed' : message || 'the browser does not say why')
    })
    opened.addEventListener('uncapturederror', ({ error }) => {
      if (error instanceof GPUOutOfMemoryError) full()
    })
    return opened
  }
}

/** Firefox's polling interval, in milliseconds. */
const LOOK_MS = 4

/**
 * Speeds up reading results in Firefox. It checks for finished reads every 100 ms and whenever work is submitted, so
 * every generated token would take 100 ms. While a read is pending, empty work is submitted.
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

/** Destroys the device, for testing; returns whether there was one. */
export function destroyDevice(): boolean {
  device?.destroy()
  return device !== null
}
